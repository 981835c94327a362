// Drives a Binance USD-M Futures server with the npm package `binance`, and says what it checked.
//
//     node npm_binance_drive.mjs http://127.0.0.1:9001 ws://127.0.0.1:9001 KEY SECRET
//
// The server's market must have BTCUSDT, history of at least a hundred minutes, and quotes that move. Exit 0: every check held.

import { USDMClient, WebsocketAPIClient, WebsocketClient } from "binance";

const SYMBOL = "BTCUSDT";
const PATIENCE_MS = 30_000;

const [rest, stream, key, secret] = process.argv.slice(2);
if (!secret) {
  console.error("usage: npm_binance_drive.mjs REST_URL STREAM_URL KEY SECRET");
  process.exit(2);
}

let checks = 0;

function fail(what, ...seen) {
  console.error(`npm binance: ${what}:`, ...seen.map((value) => JSON.stringify(value)));
  process.exit(1);
}

function check(holds, what, ...seen) {
  if (!holds) fail(what, ...seen);
  checks += 1;
}

async function refused(code, call, text) {
  let answer;
  try {
    answer = await call;
  } catch (error) {
    check(error.code === code, `is refused with ${code}`, error.code, error.message);
    if (text !== undefined) check(error.message === text, `is refused with the words ${text}`, error.message);
    return;
  }
  fail(`is refused with ${code}`, answer);
}

// What came on the streams, and who waits for it.
const heard = [];
const waiting = new Set();

function hear(message) {
  heard.push(message);
  for (const look of waiting) look();
}

function next(what, wanted) {
  return new Promise((resolve) => {
    const look = () => {
      const found = heard.find(wanted);
      if (found === undefined) return;
      waiting.delete(look);
      clearTimeout(timer);
      resolve(found);
    };
    const timer = setTimeout(() => fail(`no message: ${what}`, heard.slice(-5)), PATIENCE_MS);
    waiting.add(look);
    look();
  });
}

const isOrder = (id, execution) => (event) =>
  event.e === "ORDER_TRADE_UPDATE" && event.o.c === id && event.o.x === execution;

const client = new USDMClient({ api_key: key, api_secret: secret, baseUrl: rest });
const options = { api_key: key, api_secret: secret, wsUrl: stream, restOptions: { baseUrl: rest } };
const logger = { trace() {}, info() {}, error: (...what) => console.error("npm binance:", ...what) };
const sockets = new WebsocketClient(options, logger);
const requests = new WebsocketAPIClient({ ...options, attachEventListeners: false }, logger);

// The enveloped form carries the stream's name; both forms end up as their payload.
sockets.on("message", (message) => hear(message.data ?? message));
sockets.on("exception", (error) => fail("the socket is well", error));

async function markets() {
  const serverTime = await client.getServerTime();
  check(Math.abs(serverTime - Date.now()) < 5_000, "server time is wall time", serverTime);
  await client.testConnectivity();
  const info = await client.getExchangeInfo();
  const symbol = info.symbols.find((entry) => entry.symbol === SYMBOL);
  check(symbol.status === "TRADING", "trades", symbol);
  const filter = (kind) => symbol.filters.find((entry) => entry.filterType === kind);
  check(typeof filter("PRICE_FILTER").tickSize === "string", "tick size is a string", filter("PRICE_FILTER"));
  check(Number(filter("MIN_NOTIONAL").notional) > 0, "least notional", filter("MIN_NOTIONAL"));

  const klines = await client.getKlines({ symbol: SYMBOL, interval: "1m", limit: 100 });
  check(klines.length === 100 && klines.every((row) => row.length === 12), "100 candles of 12 columns", klines.length);
  check(klines.every((row, i) => i === 0 || row[0] - klines[i - 1][0] === 60_000), "candles follow each other");
  const book = await client.getOrderBook({ symbol: SYMBOL, limit: 5 });
  check(Number(book.bids[0][0]) < Number(book.asks[0][0]), "bid below ask", book);
  check((await client.getRecentTrades({ symbol: SYMBOL, limit: 5 })).length > 0, "trades");
  check((await client.getAggregateTrades({ symbol: SYMBOL, limit: 5 })).length > 0, "aggregate trades");
  const mark = await client.getMarkPrice({ symbol: SYMBOL, isIsolated: "TRUE" });
  check(mark.nextFundingTime > serverTime, "funding lies ahead", mark);
  check(Array.isArray(await client.getFundingRateHistory({ symbol: SYMBOL })), "funding history");
  check(Array.isArray(await client.getFundingRates()), "funding info");
  check(Number((await client.get24hrChangeStatistics({ symbol: SYMBOL })).lastPrice) > 0, "ticker");
  check(Number((await client.getSymbolPriceTicker({ symbol: SYMBOL })).price) > 0, "price");
  check(Number((await client.getSymbolOrderBookTicker({ symbol: SYMBOL })).bidPrice) > 0, "quote");
  check(Number((await client.getOpenInterest({ symbol: SYMBOL })).openInterest) >= 0, "open interest");
  await refused(-1121, client.getKlines({ symbol: "NOSUCHUSDT", interval: "1m" }));
  return { tick: Number(filter("PRICE_FILTER").tickSize), mark: Number(mark.markPrice) };
}

// Whatever an earlier run left behind goes.
async function clean() {
  await client.cancelAllOpenOrders({ symbol: SYMBOL });
  await client.cancelAllAlgoOpenOrders({ symbol: SYMBOL });
  for (const { positionAmt } of await client.getPositions({ symbol: SYMBOL })) {
    const [side, quantity] = [Number(positionAmt) > 0 ? "SELL" : "BUY", Math.abs(Number(positionAmt))];
    if (quantity) await client.submitNewOrder({ symbol: SYMBOL, side, type: "MARKET", quantity, reduceOnly: "true" });
  }
}

async function account() {
  const usdt = (await client.getBalance()).find((row) => row.asset === "USDT");
  check(typeof usdt.balance === "string" && Number(usdt.availableBalance) > 0, "balance", usdt);
  const state = await client.getAccountInformation();
  check(Number(state.totalWalletBalance) === Number(usdt.balance), "account and balance agree", state);
  const leverage = await client.setLeverage({ symbol: SYMBOL, leverage: 5 });
  check(leverage.leverage === 5 && typeof leverage.maxNotionalValue === "string", "leverage is 5", leverage);
  await refused(-4028, client.setLeverage({ symbol: SYMBOL, leverage: 999 }));
  const now = (await client.getFuturesSymbolConfig({ symbol: SYMBOL }))[0].marginType;
  const same = client.setMarginType({ symbol: SYMBOL, marginType: now });
  await refused(-4046, same, "No need to change margin type.");
  const other = now === "CROSSED" ? "ISOLATED" : "CROSSED";
  check((await client.setMarginType({ symbol: SYMBOL, marginType: other })).code === 200, "margin type changes");
  await client.setMarginType({ symbol: SYMBOL, marginType: now });
  check((await client.getCurrentPositionMode()).dualSidePosition === false, "one-way mode");
  await refused(-4059, client.setPositionMode({ dualSidePosition: "false" }));
  const brackets = await client.getNotionalAndLeverageBrackets({ symbol: SYMBOL });
  check((brackets[0] ?? brackets).brackets.length > 0, "brackets", brackets);
  const rate = await client.getAccountCommissionRate({ symbol: SYMBOL });
  check(Number(rate.takerCommissionRate) > 0, "commission", rate);
  check(Array.isArray(await client.getIncomeHistory()), "income");
}

async function orders({ tick, mark }) {
  const run = Date.now().toString(36);
  // The package insists on its own prefix for ids.
  const id = (name) => client.generateNewOrderId().slice(0, 12) + `${name}${run}`;
  const market = id("m");
  const order = await client.submitNewOrder({
    symbol: SYMBOL, side: "BUY", type: "MARKET", quantity: 0.01, newClientOrderId: market, newOrderRespType: "RESULT",
  });
  check(order.clientOrderId === market && Number.isInteger(order.orderId), "is acknowledged", order);
  const trade = (await next("the market order's trade", isOrder(market, "TRADE"))).o;
  check(heard.findIndex(isOrder(market, "NEW")) >= 0, "NEW is told");
  check(heard.findIndex(isOrder(market, "NEW")) < heard.findIndex(isOrder(market, "TRADE")), "NEW before TRADE");
  check(trade.X === "FILLED" && trade.i === order.orderId, "is filled", trade);
  const held = (row) => row.s === SYMBOL && Number(row.pa) === 0.01;
  const update = await next("ACCOUNT_UPDATE", (event) => event.e === "ACCOUNT_UPDATE" && event.a.P.some(held));
  check(update.a.m === "ORDER" && update.a.B.some((row) => row.a === "USDT"), "the account is told", update);
  const trades = await client.getAccountTrades({ symbol: SYMBOL, orderId: order.orderId });
  check(trades.length === 1 && trades[0].id === trade.t, "its trade is listed", trades);
  const positions = await client.getPositions({ symbol: SYMBOL });
  check(positions.some((row) => Number(row.positionAmt) === 0.01), "the position is listed", positions);

  const decimals = Math.max(0, Math.round(-Math.log10(tick)));
  const low = (Math.floor((mark * 0.97) / tick) * tick).toFixed(decimals);
  const resting = id("l");
  const limit = await client.submitNewOrder({
    symbol: SYMBOL, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity: 0.01, price: low, newClientOrderId: resting,
  });
  await next("the limit order's NEW", isOrder(resting, "NEW"));
  const open = await client.getAllOpenOrders({ symbol: SYMBOL });
  check(open.length === 1 && open[0].orderId === limit.orderId, "is open", open);
  check((await client.getOrder({ symbol: SYMBOL, orderId: limit.orderId })).status === "NEW", "is found");
  const lower = (Number(low) - 10 * tick).toFixed(decimals);
  const amended = await client.modifyOrder({
    symbol: SYMBOL, orderId: limit.orderId, side: "BUY", quantity: 0.01, price: lower,
  });
  check(Number(amended.price) === Number(lower), "is amended", amended);
  const cancelled = await client.cancelOrder({ symbol: SYMBOL, origClientOrderId: resting });
  check(cancelled.status === "CANCELED", "is cancelled", cancelled);
  await next("the cancel", isOrder(resting, "CANCELED"));
  await refused(-2011, client.cancelOrder({ symbol: SYMBOL, orderId: limit.orderId }));

  const batch = await client.submitMultipleOrders([
    { symbol: SYMBOL, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity: "0.01", price: low },
    { symbol: SYMBOL, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity: "0.01", price: lower },
  ]);
  check(batch.length === 2 && batch.every((row) => row.status === "NEW"), "a batch is taken", batch);
  const away = await client.cancelMultipleOrders({
    symbol: SYMBOL, orderIdList: batch.map((row) => row.orderId),
  });
  check(away.every((row) => row.status === "CANCELED"), "a batch is cancelled", away);
  check((await client.cancelAllOpenOrders({ symbol: SYMBOL })).code === 200, "all are cancelled");

  const stopId = id("s");
  const stop = await client.submitNewAlgoOrder({
    algoType: "CONDITIONAL", symbol: SYMBOL, side: "SELL", type: "STOP_MARKET", quantity: 0.01, triggerPrice: low,
    clientAlgoId: stopId, reduceOnly: "true",
  });
  check(stop.clientAlgoId === stopId && Number.isInteger(stop.algoId), "a stop is taken", stop);
  await next("ALGO_UPDATE", (event) => event.e === "ALGO_UPDATE" && event.o.caid === stopId && event.o.X === "NEW");
  check((await client.getOpenAlgoOrders()).some((row) => row.algoId === stop.algoId), "the stop is listed");
  check((await client.cancelAlgoOrder({ algoId: stop.algoId })).code === "200", "the stop is cancelled");

  const out = id("o");
  await client.submitNewOrder({
    symbol: SYMBOL, side: "SELL", type: "MARKET", quantity: 0.01, reduceOnly: "true", newClientOrderId: out,
  });
  await next("the closing trade", isOrder(out, "TRADE"));
  const left = await client.getPositions({ symbol: SYMBOL });
  check(left.every((row) => Number(row.positionAmt) === 0), "the position is closed", left);
  check((await client.getAllOrders({ symbol: SYMBOL })).some((row) => row.clientOrderId === out), "all orders");
}

// Orders over the WebSocket API.
async function requestsOnASocket({ tick, mark }) {
  const decimals = Math.max(0, Math.round(-Math.log10(tick)));
  const price = (Math.floor((mark * 0.97) / tick) * tick).toFixed(decimals);
  const answer = await requests.submitNewFuturesOrder("usdm", {
    symbol: SYMBOL, side: "BUY", type: "LIMIT", timeInForce: "GTC", quantity: "0.01", price, timestamp: Date.now(),
  });
  const order = answer.result;
  check(order.status === "NEW" && answer.status === 200, "a socket's order is taken", answer);
  await next("the socket order's NEW", isOrder(order.clientOrderId, "NEW"));
  const which = { symbol: SYMBOL, orderId: order.orderId };
  const found = await requests.getFuturesOrderStatus("usdm", { ...which, timestamp: Date.now() });
  check(found.result.status === "NEW", "is found", found);
  const cancelled = await requests.cancelFuturesOrder("usdm", { ...which, timestamp: Date.now() });
  check(cancelled.result.status === "CANCELED", "is cancelled", cancelled);
  const balance = await requests.getFuturesAccountBalanceV2({ timestamp: Date.now() });
  check(balance.result.some((row) => row.asset === "USDT"), "balance", balance);
}

async function streams() {
  const name = SYMBOL.toLowerCase();
  sockets.subscribe([`${name}@kline_1m`, `${name}@aggTrade`, `${name}@markPrice@1s`], "usdmMarket");
  sockets.subscribe([`${name}@bookTicker`, `${name}@depth5@100ms`], "usdmPublic");
  const of = (kind) => (message) => message.e === kind && (message.s ?? message.o?.s) === SYMBOL;
  const kline = await next("a candle", of("kline"));
  check(kline.k.i === "1m" && typeof kline.k.c === "string", "a candle comes", kline);
  check(typeof (await next("a trade", of("aggTrade"))).p === "string", "a trade comes");
  check(Number((await next("a mark", of("markPriceUpdate"))).p) > 0, "a mark comes");
  const touch = await next("a quote", of("bookTicker"));
  check(Number(touch.b) < Number(touch.a), "a quote comes", touch);
  const depth = await next("depth", of("depthUpdate"));
  check(depth.b.length > 0, "depth comes", depth);
}

const { listenKey } = await client.getFuturesUserDataListenKey();
await client.keepAliveFuturesUserDataListenKey();
check((await client.getFuturesUserDataListenKey()).listenKey === listenKey, "a live listen key is given again");
await clean();
const market = await markets();
await account();
const subscribed = new Promise((resolve) => {
  sockets.on("open", ({ wsKey }) => String(wsKey).includes("userData") && resolve());
  setTimeout(() => fail("the user stream opens"), PATIENCE_MS).unref();
});
await sockets.subscribeUsdFuturesUserDataStream();
await subscribed;
await orders(market);
await requestsOnASocket(market);
await streams();
console.log(`ok ${checks} checks`);
sockets.closeAll(true);
process.exit(0);
