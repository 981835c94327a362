//! What the tests of the exchange share: two contracts with easy numbers, a language for scenarios, and the auditor.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

pub mod audit;
pub mod scenario;
pub mod world;

use alphaengine_core::instrument::{Bracket, Instrument, Instruments, LotFilter, PriceFilter};
use alphaengine_core::market::{Bar, BarOpen, BookTicker, Funding, MarkPrice, MarketData, MarketUpdate, SymbolId};
use alphaengine_core::market::{Timeframe, Trade};
use alphaengine_core::units::{Money, Price, Qty, Rate, Timestamp};
use alphaengine_sim::{Latency, SimConfig};

/// The contract that a scenario speaks of unless it says `B`.
pub const A: SymbolId = SymbolId(0);
pub const B: SymbolId = SymbolId(1);

pub fn price(text: &str) -> Price {
    text.parse().unwrap()
}

pub fn qty(text: &str) -> Qty {
    text.parse().unwrap()
}

pub fn money(text: &str) -> Money {
    text.parse().unwrap()
}

pub fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

/// Seconds since the beginning, to the nanosecond.
pub fn seconds(text: &str) -> Timestamp {
    // A quantity has eight decimals; a time needs no more than three.
    Timestamp::from_nanos(text.parse::<Qty>().unwrap().steps() * 10)
}

/// A contract on a grid of 0.1 with three brackets, whose maintenance amounts follow `cum_n = cum_{n-1} + floor_n * (mmr_n -
/// mmr_{n-1})`.
pub fn contract(name: &str) -> Instrument {
    let bracket = |floor, cap, max_leverage, mmr, cum| Bracket {
        floor: Money::whole(floor),
        cap: Money::whole(cap),
        max_leverage,
        mmr: rate(mmr),
        cum: Money::whole(cum),
    };
    Instrument {
        symbol: name.parse().unwrap(),
        base_asset: name.trim_end_matches("USDT").into(),
        margin_asset: "USDT".into(),
        status: "TRADING".into(),
        price: PriceFilter { min: price("0.1"), max: price("10000"), tick: price("0.1") },
        lot: LotFilter { min: qty("0.01"), max: qty("5000"), step: qty("0.01") },
        market_lot: LotFilter { min: qty("0.01"), max: qty("2000"), step: qty("0.01") },
        min_notional: Money::whole(5),
        max_orders: 20,
        percent_up: rate("1.05"),
        percent_down: rate("0.95"),
        market_take_bound: rate("0.05"),
        trigger_protect: rate("0.05"),
        liquidation_fee: rate("0.0125"),
        brackets: vec![
            bracket(0, 10_000, 50, "0.01", 0),
            bracket(10_000, 50_000, 20, "0.025", 150),
            bracket(50_000, 1_000_000, 10, "0.05", 1_400),
        ],
    }
}

pub fn contracts() -> Instruments {
    Instruments::new(vec![contract("AUSDT"), contract("BUSDT")]).unwrap()
}

/// 10 000 of cash, ten times leverage, fees of 0.02 % and 0.05 %. No slippage, so that prices can be read off the scenario; the
/// tests of slippage say so.
pub fn config() -> SimConfig {
    SimConfig { leverage: 10, slippage: Rate::ZERO, latency: Latency::default(), ..SimConfig::default() }
}

pub fn update(at: Timestamp, symbol: SymbolId, data: MarketData) -> MarketUpdate {
    MarketUpdate { at, symbol, data }
}

pub fn trade(price: Price, qty: Qty) -> MarketData {
    MarketData::Trade(Trade { id: 1, price, qty, is_buyer_maker: false })
}

pub fn book(bid: (Price, Qty), ask: (Price, Qty)) -> MarketData {
    let ((bid, bid_qty), (ask, ask_qty)) = (bid, ask);
    MarketData::BookTicker(BookTicker { update_id: 1, bid, bid_qty, ask, ask_qty })
}

pub fn open(price: Price) -> MarketData {
    MarketData::BarOpen(BarOpen { price, timeframe: Timeframe::M1 })
}

/// A bar of one minute that closes at `close_time`.
pub fn minute(close_time: Timestamp, [open, high, low, close]: [Price; 4], volume: Qty) -> Bar {
    let timeframe = Timeframe::M1;
    Bar { open_time: timeframe.open_time(close_time), open, high, low, close, volume, timeframe }
}

pub fn mark(price: Price) -> MarketData {
    MarketData::MarkPrice(MarkPrice { price })
}

pub fn funding(rate: Rate, mark: Option<Price>) -> MarketData {
    MarketData::Funding(Funding { rate, mark })
}
