//! Tickers: the last 24 hours, the last price, the best quotes.

use alphaengine_core::market::SymbolId;
use alphaengine_core::units::{NANOS_PER_DAY, Price, Rate, Rounding, SCALE, Timestamp};

use super::candles::Candle;
use super::encode::{amount, average, decimal};
use super::error::ApiError;
use super::json::{JsonText, json};
use super::{Call, Gateway};

type Answer = Result<JsonText, ApiError>;

pub(super) fn day(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let one = |symbol| gateway.day_ticker(symbol);
    gateway.one_or_all(call.params, one)
}

pub(super) fn price(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let one = |symbol| {
        let contract = gateway.contract(symbol);
        json!({"symbol": contract.name, "price": contract.digits.price(gateway.tape(symbol).last),
            "time": gateway.told_at(symbol)})
    };
    gateway.one_or_all(call.params, one)
}

pub(super) fn book(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let one = |symbol| {
        let (contract, tape) = (gateway.contract(symbol), gateway.tape(symbol));
        let digits = contract.digits;
        let book = tape.book.map(|book| (book.bid, book.bid_qty, book.ask, book.ask_qty)).unwrap_or_default();
        json!({"symbol": contract.name, "bidPrice": digits.price(book.0), "bidQty": digits.qty(book.1),
            "askPrice": digits.price(book.2), "askQty": digits.qty(book.3), "time": gateway.told_at(symbol),
            "lastUpdateId": tape.change_id()})
    };
    gateway.one_or_all(call.params, one)
}

/// The last day in one candle, with its change.
struct Day {
    candle: Candle,
    change: Price,
    percent: Rate,
    weighted: Price,
}

impl Gateway {
    fn day_of(&self, symbol: SymbolId) -> Day {
        let tape = self.tape(symbol);
        let from = tape.at.plus(-NANOS_PER_DAY);
        let candle = tape.candles.since(from).unwrap_or(Candle::flat(tape.at, tape.last));
        let change = candle.close.saturating_sub(candle.open);
        let share = i128::from(change.steps()) * i128::from(SCALE) * 100 / i128::from(candle.open.steps().max(1));
        let percent = Rate::from_steps(i64::try_from(share).unwrap_or(i64::MAX));
        let weighted =
            if candle.volume.is_zero() { candle.close } else { average(candle.quote.exact(), candle.volume) };
        Day { candle, change, percent, weighted }
    }

    fn day_ticker(&self, symbol: SymbolId) -> JsonText {
        let (contract, tape) = (self.contract(symbol), self.tape(symbol));
        let digits = contract.digits;
        let Day { candle, change, percent, weighted } = self.day_of(symbol);
        let last_qty = tape.prints.back().map_or_else(Default::default, |print| print.trade.qty);
        json!({
            "symbol": contract.name, "priceChange": digits.price(change), "priceChangePercent": percent_text(percent),
            "weightedAvgPrice": digits.price(weighted), "lastPrice": digits.price(tape.last),
            "lastQty": digits.qty(last_qty), "openPrice": digits.price(candle.open),
            "highPrice": digits.price(candle.high), "lowPrice": digits.price(candle.low),
            "volume": digits.qty(candle.volume), "quoteVolume": amount(candle.quote),
            "openTime": tape.at.plus(-NANOS_PER_DAY).millis(), "closeTime": self.told_at(symbol),
            "firstId": candle.first_trade, "lastId": candle.last_trade, "count": candle.trades,
        })
    }

    /// `<s>@ticker` and `<s>@miniTicker`.
    pub(super) fn ticker_event(&self, symbol: SymbolId, at: Timestamp, is_mini: bool) -> JsonText {
        let (contract, tape) = (self.contract(symbol), self.tape(symbol));
        let digits = contract.digits;
        let Day { candle, change, percent, weighted } = self.day_of(symbol);
        let (volume, quote) = (digits.qty(candle.volume), amount(candle.quote));
        let [last, open, high, low] =
            [tape.last, candle.open, candle.high, candle.low].map(|price| digits.price(price));
        if is_mini {
            return json!({"e": "24hrMiniTicker", "E": at.millis(), "s": contract.name, "c": last, "o": open,
                "h": high, "l": low, "v": volume, "q": quote, "st": 1, "ps": contract.name});
        }
        let last_qty = tape.prints.back().map_or_else(Default::default, |print| print.trade.qty);
        json!({
            "e": "24hrTicker", "E": at.millis(), "s": contract.name, "p": digits.price(change),
            "P": percent_text(percent), "w": digits.price(weighted), "c": last, "Q": digits.qty(last_qty), "o": open,
            "h": high, "l": low, "v": volume, "q": quote, "O": at.plus(-NANOS_PER_DAY).millis(), "C": at.millis(),
            "F": candle.first_trade, "L": candle.last_trade, "n": candle.trades, "st": 1, "ps": contract.name,
        })
    }
}

/// Two or three places are enough for a percentage.
fn percent_text(percent: Rate) -> String {
    let thousandths = alphaengine_core::units::div_round(i128::from(percent.steps()), 100_000, Rounding::HalfEven);
    let steps = i64::try_from(thousandths).unwrap_or(0).saturating_mul(100_000);
    decimal(steps, 3)
}
