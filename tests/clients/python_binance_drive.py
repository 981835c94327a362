"""Drives a Binance USD-M Futures server with python-binance, and says what it checked.

    python python_binance_drive.py http://127.0.0.1:9001 ws://127.0.0.1:9001 KEY SECRET

The server's market must have BTCUSDT, history of at least a hundred minutes, and quotes that move. Exit 0: every check held.
"""

import asyncio
import sys
import time
from decimal import Decimal

from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException
from binance.ws.reconnecting_websocket import ReconnectingWebsocket

SYMBOL = "BTCUSDT"
PATIENCE = 30

# Leaving a quiet socket takes this long, in seconds.
ReconnectingWebsocket.TIMEOUT = 1


class Checks:
    """Counts what holds and ends the run at what does not."""

    def __init__(self):
        self.count = 0

    def that(self, holds, what, *seen):
        if not holds:
            sys.exit(f"python-binance: {what}: {' '.join(map(repr, seen))}")
        self.count += 1

    def strings(self, row, *fields):
        for field in fields:
            self.that(isinstance(row.get(field), str), f"{field} is a string", row)
            Decimal(row[field])

    def integers(self, row, *fields):
        for field in fields:
            self.that(type(row.get(field)) is int, f"{field} is an integer", row)

    async def refused(self, code, call, text=None):
        try:
            answer = await call
        except BinanceAPIException as error:
            self.that(error.code == code, f"is refused with {code}", error.code, error.message)
            if text is not None:
                self.that(error.message == text, f"is refused with the words {text}", error.message)
        else:
            self.that(False, f"is refused with {code}", answer)


class Events:
    """The user's events, in the order in which they came."""

    def __init__(self, socket):
        self.socket = socket

    async def until(self, wanted, what):
        """What came up to and with the first event that is wanted."""
        seen = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                event = await asyncio.wait_for(self.socket.recv(), deadline - time.monotonic())
            except asyncio.TimeoutError:
                break
            seen.append(event)
            if wanted(event):
                return seen
        sys.exit(f"python-binance: no event: {what}: {seen!r}")


def order_event(client_id, execution):
    def wanted(event):
        order = event.get("o", {})
        return event.get("e") == "ORDER_TRADE_UPDATE" and (order.get("c"), order.get("x")) == (client_id, execution)

    return wanted


async def markets(client, check):
    check.that(await client.futures_ping() == {}, "ping answers {}")
    server_time = (await client.futures_time())["serverTime"]
    check.that(abs(server_time - time.time() * 1000) < 5_000, "server time is wall time", server_time)

    info = await client.futures_exchange_info()
    check.that(info["timezone"] == "UTC", "time zone", info["timezone"])
    symbol = next(entry for entry in info["symbols"] if entry["symbol"] == SYMBOL)
    check.that(symbol["status"] == "TRADING" and symbol["contractType"] == "PERPETUAL", "is a perpetual", symbol)
    filters = {entry["filterType"]: entry for entry in symbol["filters"]}
    check.strings(filters["PRICE_FILTER"], "tickSize", "minPrice", "maxPrice")
    check.strings(filters["LOT_SIZE"], "stepSize", "minQty", "maxQty")
    check.strings(filters["MIN_NOTIONAL"], "notional")
    check.that({limit["rateLimitType"] for limit in info["rateLimits"]} == {"REQUEST_WEIGHT", "ORDERS"}, "rate limits")

    klines = await client.futures_klines(symbol=SYMBOL, interval="1m", limit=100)
    check.that(len(klines) == 100 and all(len(row) == 12 for row in klines), "100 candles of 12 columns", len(klines))
    check.that(all(b[0] - a[0] == 60_000 for a, b in zip(klines, klines[1:])), "candles follow each other")
    newest = klines[-1]
    check.that(newest[0] >= time.time() * 1000 - 120_000, "the newest candle is of now", newest)
    check.that(isinstance(newest[0], int) and isinstance(newest[1], str) and newest[11] == "0", "column types", newest)
    high, low = Decimal(newest[2]), Decimal(newest[3])
    check.that(all(low <= Decimal(newest[i]) <= high for i in (1, 4)), "open and close lie inside", newest)
    hourly = await client.futures_klines(symbol=SYMBOL, interval="1h", limit=2)
    check.that(all(row[0] % 3_600_000 == 0 for row in hourly), "hours begin at hours", hourly)
    await check.refused(-1120, client.futures_klines(symbol=SYMBOL, interval="7m"))
    await check.refused(-1121, client.futures_klines(symbol="NOSUCHUSDT", interval="1m"))

    continuous = await client.futures_continuous_klines(pair=SYMBOL, contractType="PERPETUAL", interval="1m", limit=5)
    check.that(len(continuous) == 5, "continuous candles", continuous)
    for call in (client.futures_mark_price_klines(symbol=SYMBOL, interval="1m", limit=5),
                 client.futures_index_price_klines(pair=SYMBOL, interval="1m", limit=5)):
        rows = await call
        check.that(0 < len(rows) <= 5 and len(rows[0]) == 12, "mark and index candles", rows)

    book = await client.futures_order_book(symbol=SYMBOL, limit=5)
    check.that(Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0]), "bid below ask", book)
    check.integers(book, "lastUpdateId", "E", "T")
    trades = await client.futures_recent_trades(symbol=SYMBOL, limit=5)
    check.that(0 < len(trades) <= 5 and trades[0]["id"] < trades[-1]["id"], "trades ascend", trades)
    aggregates = await client.futures_aggregate_trades(symbol=SYMBOL, limit=5)
    check.that({"a", "p", "q", "f", "l", "T", "m"} <= aggregates[0].keys(), "aggregate trades", aggregates)
    mark = await client.futures_mark_price(symbol=SYMBOL)
    check.strings(mark, "markPrice", "indexPrice", "lastFundingRate")
    check.that(mark["nextFundingTime"] > server_time, "funding lies ahead", mark)
    check.that(isinstance(await client.futures_mark_price(), list), "all marks are a list")
    check.that(isinstance(await client.futures_funding_rate(symbol=SYMBOL), list), "funding history is a list")
    ticker = await client.futures_ticker(symbol=SYMBOL)
    check.strings(ticker, "lastPrice", "highPrice", "lowPrice", "volume", "priceChangePercent")
    check.that(isinstance(await client.futures_ticker(), list), "all tickers are a list")
    check.strings(await client.futures_symbol_ticker(symbol=SYMBOL), "price")
    touch = await client.futures_orderbook_ticker(symbol=SYMBOL)
    check.strings(touch, "bidPrice", "bidQty", "askPrice", "askQty")
    check.strings(await client.futures_open_interest(symbol=SYMBOL), "openInterest")
    return Decimal(filters["PRICE_FILTER"]["tickSize"])


async def clean(client):
    """Whatever an earlier run left behind goes."""
    await client.futures_cancel_all_open_orders(symbol=SYMBOL)
    await client.futures_cancel_all_algo_open_orders(symbol=SYMBOL)
    for row in await client.futures_position_information(symbol=SYMBOL):
        held = Decimal(row["positionAmt"])
        side = "SELL" if held > 0 else "BUY"
        await client.futures_create_order(
            symbol=SYMBOL, side=side, type="MARKET", quantity=str(abs(held)), reduceOnly="true")


async def account(client, check):
    balance = next(row for row in await client.futures_account_balance() if row["asset"] == "USDT")
    check.strings(balance, "balance", "crossWalletBalance", "availableBalance", "maxWithdrawAmount")
    state = await client.futures_account()
    check.strings(state, "totalWalletBalance", "totalUnrealizedProfit", "totalMarginBalance", "availableBalance")
    check.that(Decimal(state["totalWalletBalance"]) == Decimal(balance["balance"]), "account and balance agree", state)
    check.that(await client.futures_position_information(symbol=SYMBOL) == [], "flat symbols are not listed")
    check.that((await client.futures_get_position_mode())["dualSidePosition"] is False, "one-way mode")
    await check.refused(-4059, client.futures_change_position_mode(dualSidePosition="false"))
    check.that((await client.futures_get_multi_assets_mode())["multiAssetsMargin"] is False, "one asset")
    rate = await client.futures_commission_rate(symbol=SYMBOL)
    check.strings(rate, "makerCommissionRate", "takerCommissionRate")
    brackets = await client.futures_leverage_bracket(symbol=SYMBOL)
    bracket = (brackets[0] if isinstance(brackets, list) else brackets)["brackets"][0]
    check.integers(bracket, "bracket", "initialLeverage")
    config = await client.futures_symbol_config(symbol=SYMBOL)
    check.that(config[0]["marginType"] in ("CROSSED", "ISOLATED"), "margin type", config)
    check.integers(config[0], "leverage")

    leverage = await client.futures_change_leverage(symbol=SYMBOL, leverage=10)
    check.that(leverage["leverage"] == 10 and leverage["symbol"] == SYMBOL, "leverage is 10", leverage)
    check.strings(leverage, "maxNotionalValue")
    await check.refused(-4028, client.futures_change_leverage(symbol=SYMBOL, leverage=999))
    changed = await client.futures_change_margin_type(symbol=SYMBOL, marginType="ISOLATED")
    check.that(changed == {"code": 200, "msg": "success"}, "margin type changes", changed)
    again = client.futures_change_margin_type(symbol=SYMBOL, marginType="ISOLATED")
    await check.refused(-4046, again, "No need to change margin type.")
    await client.futures_change_margin_type(symbol=SYMBOL, marginType="CROSSED")
    check.that(isinstance(await client.futures_income_history(), list), "income is a list")


async def orders(client, check, events, tick):
    await check.refused(-1111, client.futures_create_order(
        symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.00000001"))
    await check.refused(-1116, client.futures_create_order(symbol=SYMBOL, side="BUY", type="NOPE", quantity="0.01"))
    await check.refused(-2019, client.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="90"))

    # A market order: accepted, then NEW, then the trade, then the account.
    order = await client.futures_create_order(
        symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.010", newClientOrderId="py-market")
    check.that((order["status"], order["clientOrderId"]) == ("NEW", "py-market"), "is acknowledged", order)
    check.integers(order, "orderId", "updateTime")
    seen = await events.until(order_event("py-market", "TRADE"), "the market order's trade")
    new = [event for event in seen if order_event("py-market", "NEW")(event)]
    check.that(len(new) == 1, "NEW comes before TRADE", seen)
    trade = seen[-1]["o"]
    check.that((trade["X"], trade["z"], trade["N"]) == ("FILLED", "0.010", "USDT"), "is filled at once", trade)
    check.that(trade["i"] == order["orderId"] and type(trade["t"]) is int, "has its ids", trade)
    is_update = lambda event: event["e"] == "ACCOUNT_UPDATE" and event["a"]["m"] == "ORDER"
    updates = [event for event in seen if is_update(event)] or [(await events.until(is_update, "ACCOUNT_UPDATE"))[-1]]
    position = next(row for row in updates[-1]["a"]["P"] if row["s"] == SYMBOL)
    check.that(Decimal(position["pa"]) == Decimal("0.01"), "the account tells the position", updates)
    check.strings(next(row for row in updates[-1]["a"]["B"] if row["a"] == "USDT"), "wb", "cw", "bc")

    found = await client.futures_get_order(symbol=SYMBOL, origClientOrderId="py-market")
    check.that((found["status"], found["executedQty"]) == ("FILLED", "0.010"), "is found filled", found)
    check.strings(found, "avgPrice", "cumQuote", "origQty")
    trades = await client.futures_account_trades(symbol=SYMBOL, orderId=order["orderId"])
    check.that([row["id"] for row in trades] == [trade["t"]], "its trade is listed", trades)
    check.strings(trades[0], "price", "qty", "quoteQty", "commission", "realizedPnl")
    held = (await client.futures_position_information(symbol=SYMBOL))[0]
    check.that(Decimal(held["positionAmt"]) == Decimal("0.01"), "the position is listed", held)
    check.strings(held, "entryPrice", "breakEvenPrice", "markPrice", "unRealizedProfit", "liquidationPrice", "notional")
    await check.refused(-4048, client.futures_change_margin_type(symbol=SYMBOL, marginType="ISOLATED"))

    # A limit order far below: rests, is listed, amended, cancelled.
    price = Decimal(held["markPrice"]) * Decimal("0.97")
    price -= price % tick
    limit = await client.futures_create_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010", price=str(price),
        newClientOrderId="py-limit")
    await events.until(order_event("py-limit", "NEW"), "the limit order's NEW")
    duplicate = client.futures_create_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010", price=str(price),
        newClientOrderId="py-limit")
    await check.refused(-4116, duplicate)
    open_orders = await client.futures_get_open_orders(symbol=SYMBOL)
    check.that([row["clientOrderId"] for row in open_orders] == ["py-limit"], "is open", open_orders)
    check.integers(open_orders[0], "time", "updateTime", "orderId")
    lower = price - 10 * tick
    amended = await client.futures_modify_order(
        symbol=SYMBOL, orderId=limit["orderId"], side="BUY", quantity="0.010", price=str(lower))
    check.that(Decimal(amended["price"]) == lower, "is amended", amended)
    await events.until(order_event("py-limit", "AMENDMENT"), "the amendment")
    cancelled = await client.futures_cancel_order(symbol=SYMBOL, orderId=limit["orderId"])
    check.that(cancelled["status"] == "CANCELED", "is cancelled", cancelled)
    await events.until(order_event("py-limit", "CANCELED"), "the cancel")
    await check.refused(-2011, client.futures_cancel_order(symbol=SYMBOL, orderId=limit["orderId"]))
    await check.refused(-2013, client.futures_get_order(symbol=SYMBOL, origClientOrderId="py-never"))

    # Two at once, one of them bad, and all away.
    batch = await client.futures_place_batch_order(batchOrders=[
        {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010",
         "price": str(price), "newClientOrderId": "py-batch"},
        {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "90"},
    ])
    check.that(batch[0].get("clientOrderId") == "py-batch" and batch[1].get("code") == -2019, "a batch is mixed", batch)
    away = await client.futures_cancel_all_open_orders(symbol=SYMBOL)
    check.that(away["code"] == 200, "all are cancelled", away)
    check.that(await client.futures_get_open_orders(symbol=SYMBOL) == [], "none is open")

    # A stop: sent to the algo service by the client, listed there, cancelled there.
    stop = await client.futures_create_order(
        symbol=SYMBOL, side="SELL", type="STOP_MARKET", quantity="0.010", triggerPrice=str(price),
        clientAlgoId="py-stop", reduceOnly="true")
    check.that(stop["clientAlgoId"] == "py-stop" and stop["algoStatus"] == "NEW", "a stop is taken", stop)
    is_algo = lambda event: event["e"] == "ALGO_UPDATE" and event["o"]["caid"] == "py-stop"
    algo = (await events.until(is_algo, "ALGO_UPDATE"))[-1]["o"]
    check.that((algo["X"], algo["aid"]) == ("NEW", stop["algoId"]), "is told", algo)
    listed = await client.futures_get_open_algo_orders()
    check.that([row["algoId"] for row in listed] == [stop["algoId"]], "the stop is listed", listed)
    gone = await client.futures_cancel_algo_order(algoId=stop["algoId"])
    check.that(gone["code"] == "200", "the stop is cancelled", gone)
    check.that(await client.futures_get_open_algo_orders() == [], "no stop is open")

    # Out again.
    await client.futures_create_order(
        symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.010", reduceOnly="true", newClientOrderId="py-out")
    await events.until(order_event("py-out", "TRADE"), "the closing trade")
    check.that(await client.futures_position_information(symbol=SYMBOL) == [], "the position is closed")
    income = await client.futures_income_history(symbol=SYMBOL)
    kinds = {row["incomeType"] for row in income}
    check.that({"COMMISSION", "REALIZED_PNL"} <= kinds, "commission and profit are income", income)
    finished = await client.futures_get_all_orders(symbol=SYMBOL)
    check.that({"py-market", "py-limit", "py-out"} <= {row["clientOrderId"] for row in finished}, "all orders", finished)


async def hedge_mode(client, check, events):
    """Both sides of a symbol at once."""
    changed = await client.futures_change_position_mode(dualSidePosition="true")
    check.that(changed["code"] == 200, "hedge mode is on", changed)
    await check.refused(-4061, client.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.010"))
    for side, position_side in (("BUY", "LONG"), ("SELL", "SHORT")):
        await client.futures_create_order(
            symbol=SYMBOL, side=side, positionSide=position_side, type="MARKET", quantity="0.010",
            newClientOrderId=f"py-{position_side}")
        trade = (await events.until(order_event(f"py-{position_side}", "TRADE"), position_side))[-1]["o"]
        check.that(trade["ps"] == position_side, "the trade names its side", trade)
    held = {row["positionSide"]: row["positionAmt"] for row in await client.futures_position_information(symbol=SYMBOL)}
    check.that((held.get("LONG"), held.get("SHORT")) == ("0.010", "-0.010"), "both sides are held", held)
    await check.refused(-4068, client.futures_change_position_mode(dualSidePosition="false"))
    for side, position_side in (("SELL", "LONG"), ("BUY", "SHORT")):
        await client.futures_create_order(
            symbol=SYMBOL, side=side, positionSide=position_side, type="MARKET", quantity="0.010",
            newClientOrderId=f"py-out-{position_side}")
        await events.until(order_event(f"py-out-{position_side}", "TRADE"), f"out of {position_side}")
    check.that((await client.futures_change_position_mode(dualSidePosition="false"))["code"] == 200, "hedge mode is off")


async def requests_on_a_socket(client, check, events, tick):
    """Orders over the WebSocket API."""
    touch = await client.ws_futures_get_order_book_ticker(symbol=SYMBOL)
    price = Decimal(touch["bidPrice"]) * Decimal("0.97")
    price -= price % tick
    order = await client.ws_futures_create_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010", price=str(price),
        newClientOrderId="py-socket")
    check.that((order["status"], order["clientOrderId"]) == ("NEW", "py-socket"), "a socket's order is taken", order)
    await events.until(order_event("py-socket", "NEW"), "the socket order's NEW")
    found = await client.ws_futures_get_order(symbol=SYMBOL, orderId=order["orderId"])
    check.that(found["status"] == "NEW", "is found", found)
    lower = price - 10 * tick
    amended = await client.ws_futures_edit_order(
        symbol=SYMBOL, orderId=order["orderId"], side="BUY", quantity="0.010", price=str(lower))
    check.that(Decimal(amended["price"]) == lower, "is amended", amended)
    cancelled = await client.ws_futures_cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    check.that(cancelled["status"] == "CANCELED", "is cancelled", cancelled)
    await check.refused(-2011, client.ws_futures_cancel_order(symbol=SYMBOL, orderId=order["orderId"]))
    stop = await client.ws_futures_create_order(
        symbol=SYMBOL, side="SELL", type="STOP_MARKET", quantity="0.010", triggerPrice=str(price))
    check.that(stop["algoStatus"] == "NEW", "a stop is taken", stop)
    gone = await client.ws_futures_cancel_algo_order(algoId=stop["algoId"])
    check.that(gone["algoId"] == stop["algoId"], "a stop is cancelled", gone)
    balance = await client.ws_futures_v2_account_balance()
    check.that(any(row["asset"] == "USDT" for row in balance), "balance", balance)
    check.that(await client.ws_futures_v2_account_position(symbol=SYMBOL) == [], "no position")
    check.strings(await client.ws_futures_v2_account_status(), "totalWalletBalance")


async def streams(manager, check):
    async def first(socket, what):
        async with socket as stream:
            try:
                return await asyncio.wait_for(stream.recv(), PATIENCE)
            except asyncio.TimeoutError:
                sys.exit(f"python-binance: no message: {what}")

    kline = await first(manager.kline_futures_socket(SYMBOL), "continuous klines")
    check.that(kline["e"] == "continuous_kline" and kline["k"]["i"] == "1m", "a candle comes", kline)
    check.strings(kline["k"], "o", "h", "l", "c", "v")
    plain = await first(manager.futures_multiplex_socket([f"{SYMBOL.lower()}@kline_1m"]), "klines")
    check.that(plain["stream"] == f"{SYMBOL.lower()}@kline_1m" and plain["data"]["e"] == "kline", "a candle", plain)
    trade = await first(manager.aggtrade_futures_socket(SYMBOL), "aggregate trades")
    check.that(trade["data"]["e"] == "aggTrade", "a trade comes", trade)
    mark = await first(manager.symbol_mark_price_socket(SYMBOL), "mark prices")
    check.that(mark["data"]["e"] == "markPriceUpdate", "a mark comes", mark)
    touch = await first(manager.futures_multiplex_socket([f"{SYMBOL.lower()}@bookTicker"], category="public"), "quotes")
    check.that(Decimal(touch["data"]["b"]) < Decimal(touch["data"]["a"]), "a quote comes", touch)
    depth = await first(manager.futures_depth_socket(SYMBOL), "depth")
    check.that(depth["data"]["e"] == "depthUpdate", "depth comes", depth)


async def main(rest, stream, key, secret):
    check = Checks()
    AsyncClient.WS_FUTURES_URL = f"{stream}/ws-fapi/v1"
    client = AsyncClient(key, secret)
    client.FUTURES_URL = f"{rest}/fapi"
    manager = BinanceSocketManager(client, max_queue_size=10_000)
    manager.FSTREAM_URL = f"{stream}/"
    try:
        await clean(client)
        tick = await markets(client, check)
        await account(client, check)
        listen_key = await client.futures_stream_get_listen_key()
        check.that(await client.futures_stream_get_listen_key() == listen_key, "a live listen key is given again")
        await client.futures_stream_keepalive(listen_key)
        async with manager.futures_user_socket() as socket:
            events = Events(socket)
            await orders(client, check, events, tick)
            await hedge_mode(client, check, events)
            await requests_on_a_socket(client, check, events, tick)
        await streams(manager, check)
        stranger = AsyncClient("stranger", secret)
        stranger.FUTURES_URL = client.FUTURES_URL
        # Both codes are answered for a key that is not known, by its shape.
        try:
            await stranger.futures_account_balance()
            check.that(False, "a stranger is refused")
        except BinanceAPIException as error:
            check.that(error.code in (-2014, -2015) and error.status_code == 401, "a stranger is refused", error)
        await stranger.close_connection()
    finally:
        await client.close_connection()
    print(f"ok {check.count} checks")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
