//! What the exchange tells when it is asked: the account now, own trades and income page by page, and everything cancelled at once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::exchange::{ExchangeUpdate, Execution, Outcome, Outgoing, Request, Setting, TransferReason};
use alphaengine_core::id::RequestId;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, Side};
use alphaengine_core::units::{Money, Timestamp};
use alphaengine_sim::{MarketFill, SimConfig, SimExchange};
use support::{A, B, contracts, funding, money, price, qty, rate, seconds, trade, update};

fn exchange() -> SimExchange {
    let config = SimConfig { market_fill: MarketFill::LastPrice, ..support::config() };
    let mut exchange = SimExchange::new(config, &contracts());
    exchange.open_account(seconds("1"));
    exchange.on_market(&update(seconds("2"), A, trade(price("100"), qty("5"))));
    exchange.on_market(&update(seconds("2"), B, trade(price("50"), qty("5"))));
    exchange
}

fn ask(exchange: &mut SimExchange, at: &str, request: Request) -> Outcome {
    exchange.said();
    exchange.submit(seconds(at), &Outgoing { id: RequestId(7), request });
    let answer = exchange.said().find_map(|update| match update {
        ExchangeUpdate::Answer { id: RequestId(7), outcome } => Some(outcome),
        _ => None,
    });
    answer.expect("every request is answered")
}

fn place(exchange: &mut SimExchange, at: &str, name: &str, spec: OrderSpec) {
    let outcome = ask(exchange, at, Request::PlaceOrder { client_order_id: name.parse().unwrap(), spec });
    assert!(matches!(outcome, Outcome::Placed { .. }), "{outcome:?}");
}

/// A market order, which trades when the next price comes.
fn buy(exchange: &mut SimExchange, second: i64, name: &str, symbol: alphaengine_core::market::SymbolId) {
    place(exchange, &second.to_string(), name, OrderSpec::market(symbol, Side::Buy, qty("1")));
    let at = if symbol == A { "100" } else { "50" };
    exchange.on_market(&update(seconds(&second.to_string()), symbol, trade(price(at), qty("5"))));
}

#[test]
fn own_trades_are_told_by_symbol_from_an_id_or_a_time() {
    let mut exchange = exchange();
    for second in 3..8 {
        buy(&mut exchange, second, &format!("a{second}"), A);
        buy(&mut exchange, second, &format!("b{second}"), B);
    }
    let mut ids = |symbol, from_id, since: &str| {
        let request = Request::Trades { symbol, from_id, since: seconds(since) };
        let Outcome::Trades { trades, more } = ask(&mut exchange, "9", request) else { panic!("no trades") };
        assert!(!more);
        let id = |update: &alphaengine_core::exchange::OrderUpdate| match update.execution {
            Execution::Trade(fill) => fill.trade_id,
            other => panic!("{other:?} is no trade"),
        };
        assert!(trades.iter().all(|trade| trade.symbol == symbol));
        trades.iter().map(id).collect::<Vec<u64>>()
    };
    assert_eq!(ids(A, 0, "0"), [1, 2, 3, 4, 5]);
    assert_eq!(ids(A, 0, "5"), [3, 4, 5]);
    assert_eq!(ids(B, 4, "0"), [4, 5]);
    assert_eq!(ids(B, 9, "0"), Vec::<u64>::new());
}

#[test]
fn a_page_of_trades_says_that_there_are_more() {
    let mut exchange = exchange();
    for number in 0..1_003_i64 {
        let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
        place(&mut exchange, "3", &format!("a{number}"), OrderSpec::market(A, side, qty("1")));
        exchange.on_market(&update(seconds("3"), A, trade(price("100"), qty("5"))));
    }
    let mut seen = Vec::new();
    let mut from_id = 1;
    loop {
        let request = Request::Trades { symbol: A, from_id, since: Timestamp::MIN };
        let Outcome::Trades { trades, more } = ask(&mut exchange, "4", request) else { panic!("no trades") };
        seen.extend(trades.iter().filter_map(|trade| match trade.execution {
            Execution::Trade(fill) => Some(fill.trade_id),
            _ => None,
        }));
        from_id = seen.last().unwrap() + 1;
        if !more {
            break;
        }
        assert_eq!(trades.len(), 1_000);
    }
    assert_eq!(seen, (1..=1_003).collect::<Vec<u64>>());
}

#[test]
fn income_is_what_moved_money_without_a_trade() {
    let mut exchange = exchange();
    buy(&mut exchange, 3, "a", A);
    for second in ["4", "5"] {
        exchange.on_market(&update(seconds(second), A, funding(rate("0.001"), Some(price("100")))));
    }
    let mut rows = |since: &str| {
        let request = Request::Income { since: seconds(since) };
        let Outcome::Income { rows, until, more } = ask(&mut exchange, "6", request) else { panic!("no income") };
        assert!(!more);
        (rows, until)
    };
    let (all, until) = rows("0");
    assert_eq!((all.len(), until), (3, seconds("5")));
    let is_deposit = |row: &ExchangeUpdate| matches!(row, ExchangeUpdate::Transfer { id: 0, amount, reason: TransferReason::Deposit, .. } if *amount == Money::whole(10_000));
    assert!(is_deposit(&all[0]), "{:?}", all[0]);
    let (late, _) = rows("5");
    let [ExchangeUpdate::Funding(payment)] = &late[..] else { panic!("{late:?}") };
    assert_eq!((payment.amount, payment.position), (money("-0.1"), qty("1")));
    assert_eq!((payment.rate, payment.mark), (Some(rate("0.001")), Some(price("100"))));
    assert!(rows("7").0.is_empty());
}

#[test]
fn a_snapshot_is_the_account_as_it_is() {
    let mut exchange = exchange();
    buy(&mut exchange, 3, "a", A);
    let resting = OrderSpec::limit(A, Side::Buy, qty("2"), price("99"));
    let watching = OrderSpec::market(B, Side::Buy, qty("3")).with_type(OrderType::StopMarket { trigger: price("60") });
    place(&mut exchange, "4", "rest", resting);
    place(&mut exchange, "5", "watch", watching);
    let Outcome::Snapshot(snapshot) = ask(&mut exchange, "6", Request::Snapshot) else { panic!("no snapshot") };
    assert_eq!(*snapshot, exchange.snapshot());
    let orders: Vec<_> = snapshot.orders.iter().map(|order| (order.client_order_id.to_string(), order.spec)).collect();
    assert_eq!(orders, [("rest".to_owned(), resting), ("watch".to_owned(), watching)]);
    assert_eq!(snapshot.orders[1].created_at, seconds("5"));
    let [position] = snapshot.positions[..] else { panic!("{:?}", snapshot.positions) };
    assert_eq!((position.symbol, position.position_side, position.qty), (A, PositionSide::Both, qty("1")));
    assert_eq!((position.entry_price, position.margin), (price("100"), Money::ZERO));
    assert_eq!(snapshot.balances[0].wallet, money("9999.95"));
    assert!(snapshot.settings.contains(&(None, Setting::HedgeMode { hedge: false })));
    assert!(snapshot.settings.contains(&(Some(B), Setting::Leverage { leverage: 10 })));
    assert!(snapshot.settings.contains(&(Some(B), Setting::MarginType { isolated: false })));
}

#[test]
fn cancelling_all_ends_both_kinds_of_orders_of_one_symbol() {
    let mut exchange = exchange();
    place(&mut exchange, "3", "rest", OrderSpec::limit(A, Side::Buy, qty("2"), price("99")));
    let stop = OrderSpec::market(A, Side::Buy, qty("3")).with_type(OrderType::StopMarket { trigger: price("110") });
    place(&mut exchange, "3", "watch", stop);
    place(&mut exchange, "3", "other", OrderSpec::limit(B, Side::Buy, qty("2"), price("49")));
    exchange.said();
    exchange.submit(seconds("4"), &Outgoing { id: RequestId(8), request: Request::CancelAll { symbol: A } });
    let said: Vec<ExchangeUpdate> = exchange.said().collect();
    assert!(matches!(said[0], ExchangeUpdate::Answer { outcome: Outcome::Done, .. }));
    let ended: Vec<String> = said[1..]
        .iter()
        .map(|update| match update {
            ExchangeUpdate::Order(order) if order.execution == Execution::Canceled => order.client_order_id.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ended, ["rest", "watch"]);
    assert_eq!(exchange.open_orders(), 1);
}

#[test]
fn margin_moves_between_the_wallet_and_an_isolated_position_only() {
    let mut exchange = exchange();
    let side = PositionSide::Both;
    assert_eq!(exchange.move_margin(A, side, money("1")).unwrap_err().code, -4054);
    ask(&mut exchange, "3", Request::SetMarginType { symbol: A, isolated: true });
    assert_eq!(exchange.move_margin(A, side, money("1")).unwrap_err().code, -4054);
    buy(&mut exchange, 4, "a", A);
    let total = exchange.wallet_total();
    assert_eq!(exchange.margin(A, side), money("10"));
    assert_eq!(exchange.move_margin(A, side, money("20000")).unwrap_err().code, -4050);
    exchange.move_margin(A, side, money("5")).unwrap();
    assert_eq!(exchange.margin(A, side), money("15"));
    assert_eq!(exchange.move_margin(A, side, money("-5.00000001")).unwrap_err().code, -4051);
    exchange.move_margin(A, side, money("-5")).unwrap();
    assert_eq!((exchange.margin(A, side), exchange.wallet_total()), (money("10"), total));
}
