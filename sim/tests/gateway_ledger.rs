//! Whatever is traded: what the events told, what REST tells and what the exchange has are one account.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod gateway_support;

use std::collections::{BTreeMap, BTreeSet};

use alphaengine_core::market::{Funding, MarketData};
use alphaengine_core::order::PositionSide;
use alphaengine_core::units::{Money, Qty, Rate};
use gateway_support::*;
use proptest::prelude::*;
use serde_json::Value;

#[derive(Debug, Clone)]
enum Step {
    Market {
        buy: bool,
        long: bool,
        thousandths: u32,
    },
    Limit {
        buy: bool,
        long: bool,
        thousandths: u32,
        ticks: i32,
        tif: &'static str,
    },
    Stop {
        buy: bool,
        long: bool,
        ticks: i32,
        close: bool,
    },
    CancelAll,
    CancelAlgos,
    Leverage(u32),
    Margin(i32),
    Funding(i32),
    Mark(i32),
    /// The minute closes so far from where it opened.
    Bar(i32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = 1..400_u32;
    let step = prop_oneof![
        4 => (any::<bool>(), any::<bool>(), size.clone())
            .prop_map(|(buy, long, thousandths)| Step::Market { buy, long, thousandths }),
        3 => (any::<bool>(), any::<bool>(), size, -3_000..3_000, prop::sample::select(&["GTC", "IOC", "GTX", "FOK"][..]))
            .prop_map(|(buy, long, thousandths, ticks, tif)| Step::Limit { buy, long, thousandths, ticks, tif }),
        2 => (any::<bool>(), any::<bool>(), 1..6_000, any::<bool>())
            .prop_map(|(buy, long, ticks, close)| Step::Stop { buy, long, ticks, close }),
        1 => Just(Step::CancelAll),
        1 => Just(Step::CancelAlgos),
        1 => (1..126_u32).prop_map(Step::Leverage),
        1 => (-400..400).prop_map(Step::Margin),
        1 => (-300..300).prop_map(Step::Funding),
        1 => (-2_000..2_000).prop_map(Step::Mark),
        4 => (-4_000..4_000).prop_map(Step::Bar),
        1 => (-40_000..40_000).prop_map(Step::Bar),
    ];
    prop::collection::vec(step, 1..60)
}

/// The market's price in ticks of 0.1.
fn text(ticks: i32) -> String {
    format!("{}.{}", ticks / 10, ticks % 10)
}

struct Run {
    exchange: Exchange,
    hedge: bool,
    last: i32,
}

impl Run {
    fn side(&self, buy: bool, long: bool) -> String {
        let side = if buy { "BUY" } else { "SELL" };
        let position = if long { "LONG" } else { "SHORT" };
        let position = if self.hedge { format!("&positionSide={position}") } else { String::new() };
        format!("symbol=BTCUSDT&side={side}{position}")
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Market { buy, long, thousandths } => {
                let size = f64::from(thousandths) / 1_000.0;
                let order = format!("{}&type=MARKET&quantity={size}", self.side(buy, long));
                self.exchange.send("POST", "/fapi/v1/order", &order);
            }
            Step::Limit { buy, long, thousandths, ticks, tif } => {
                let (size, price) = (f64::from(thousandths) / 1_000.0, text(self.last + ticks));
                let side = self.side(buy, long);
                let order = format!("{side}&type=LIMIT&timeInForce={tif}&quantity={size}&price={price}");
                self.exchange.send("POST", "/fapi/v1/order", &order);
            }
            Step::Stop { buy, long, ticks, close } => {
                let trigger = text(if buy { self.last + ticks } else { self.last - ticks });
                let size = if close { "closePosition=true" } else { "quantity=0.05" };
                let side = self.side(buy, long);
                let order = format!("algoType=CONDITIONAL&{side}&type=STOP_MARKET&triggerPrice={trigger}&{size}");
                self.exchange.send("POST", "/fapi/v1/algoOrder", &order);
            }
            Step::CancelAll => {
                self.exchange.send("DELETE", "/fapi/v1/allOpenOrders", "symbol=BTCUSDT");
            }
            Step::CancelAlgos => {
                self.exchange.send("DELETE", "/fapi/v1/algoOpenOrders", "symbol=BTCUSDT");
            }
            Step::Leverage(leverage) => {
                self.exchange.send("POST", "/fapi/v1/leverage", &format!("symbol=BTCUSDT&leverage={leverage}"));
            }
            Step::Margin(amount) => {
                let (amount, kind) = (amount.abs(), if amount > 0 { 1 } else { 2 });
                let side = if self.hedge { "&positionSide=LONG" } else { "" };
                let params = format!("symbol=BTCUSDT&amount={amount}&type={kind}{side}");
                self.exchange.send("POST", "/fapi/v1/positionMargin", &params);
            }
            Step::Funding(rate) => {
                let rate = Rate::from_steps(i64::from(rate) * 1_000);
                self.exchange.market(BTC, MarketData::Funding(Funding { rate, mark: None }));
            }
            Step::Mark(ticks) => self.exchange.mark(BTC, &text(self.last + ticks)),
            Step::Bar(change) => {
                let (from, to) = (self.last, (self.last + change).clamp(100_000, 2_000_000));
                let (low, high) = (from.min(to) - 50, from.max(to) + 50);
                self.exchange.close_minute(BTC, [&text(from), &text(high), &text(low), &text(to)]);
                self.exchange.open(BTC, &text(to));
                self.last = to;
            }
        }
    }
}

fn told(value: &Value) -> Money {
    money(value.as_str().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn events_rest_and_exchange_agree(steps in steps(), isolated in any::<bool>(), hedge in any::<bool>()) {
        let mut exchange = Exchange::new();
        exchange.send("POST", "/fapi/v1/positionSide/dual", &format!("dualSidePosition={hedge}"));
        let margin = if isolated { "ISOLATED" } else { "CROSSED" };
        exchange.send("POST", "/fapi/v1/marginType", &format!("symbol=BTCUSDT&marginType={margin}"));
        let user = exchange.listen_to_user();
        exchange.frames(user);
        let mut run = Run { exchange, hedge, last: 1_000_000 };
        let mut wallet = Money::whole(10_000);
        let mut positions: BTreeMap<String, Qty> = BTreeMap::new();
        let mut open: BTreeSet<i64> = BTreeSet::new();
        for step in &steps {
            run.step(step);
            let exchange = &mut run.exchange;
            // Slow enough for the limits of weight and orders.
            exchange.now += 300;
            for event in exchange.frames(user) {
                match event["e"].as_str().unwrap() {
                    "ORDER_TRADE_UPDATE" => {
                        let (order, id) = (&event["o"], event["o"]["i"].as_i64().unwrap());
                        if matches!(order["X"].as_str().unwrap(), "NEW" | "PARTIALLY_FILLED") {
                            open.insert(id);
                        } else {
                            open.remove(&id);
                        }
                        if matches!(order["x"].as_str().unwrap(), "TRADE" | "CALCULATED") {
                            let gain = told(&order["rp"]).checked_sub(told(&order["n"])).unwrap();
                            wallet = wallet.checked_add(gain).unwrap();
                        }
                    }
                    "ACCOUNT_UPDATE" => {
                        let account = &event["a"];
                        wallet = wallet.checked_add(told(&account["B"][0]["bc"])).unwrap();
                        prop_assert_eq!(told(&account["B"][0]["wb"]), wallet, "after {:?}: {}", step, event);
                        for position in account["P"].as_array().unwrap() {
                            let held = qty(position["pa"].as_str().unwrap());
                            positions.insert(position["ps"].as_str().unwrap().to_owned(), held);
                        }
                    }
                    _ => {}
                }
            }
            let sim = exchange.gateway.exchange();
            prop_assert_eq!(wallet, sim.wallet_total(), "after {:?}", step);
            for side in PositionSide::ALL {
                let told = positions.get(side.name()).copied().unwrap_or(Qty::ZERO);
                prop_assert_eq!(told, sim.position(BTC, side).qty(), "{} after {:?}", side.name(), step);
            }
            let limits = exchange.ok("GET", "/fapi/v1/openOrders", "symbol=BTCUSDT");
            let asked: BTreeSet<i64> =
                limits.as_array().unwrap().iter().map(|order| order["orderId"].as_i64().unwrap()).collect();
            prop_assert_eq!(&asked, &open, "after {:?}", step);
            let algos = exchange.ok("GET", "/fapi/v1/openAlgoOrders", "symbol=BTCUSDT");
            let watching = algos.as_array().unwrap().len();
            prop_assert_eq!(asked.len() + watching, exchange.gateway.exchange().open_orders(), "after {:?}", step);
        }
        let exchange = &mut run.exchange;
        let account = exchange.ok("GET", "/fapi/v3/account", "");
        prop_assert_eq!(told(&account["totalWalletBalance"]), wallet);
        let income = exchange.ok("GET", "/fapi/v1/income", "limit=1000");
        if income.as_array().unwrap().len() < 1_000 {
            let sum: Money = income.as_array().unwrap().iter().map(|row| told(&row["income"])).sum();
            prop_assert_eq!(sum, wallet);
        }
        let trades = exchange.ok("GET", "/fapi/v1/userTrades", "symbol=BTCUSDT&limit=1000");
        prop_assert_eq!(trades.as_array().unwrap().len(), exchange.gateway.fills().len());
        for (row, fill) in trades.as_array().unwrap().iter().zip(exchange.gateway.fills()) {
            prop_assert_eq!(told(&row["commission"]), fill.fee);
            prop_assert_eq!(told(&row["realizedPnl"]), fill.realized);
            prop_assert_eq!(qty(row["qty"].as_str().unwrap()), fill.qty);
            prop_assert_eq!(row["id"].as_u64(), Some(fill.id));
        }
    }
}
