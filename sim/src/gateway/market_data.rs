//! Market data over REST (`binance-usdm.md` section 3.1). Before the first update the answers are empty or zero, not errors.

use alphaengine_core::market::SymbolId;
use alphaengine_core::units::Timestamp;

use super::candles::{Candle, Interval};
use super::encode::{amount, decimal};
use super::error::ApiError;
use super::json::{JsonText, json};
use super::request::Params;
use super::{Call, Gateway};

type Answer = Result<JsonText, ApiError>;

pub(super) fn ping(_: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({}))
}

pub(super) fn time(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({"serverTime": gateway.server_time().millis()}))
}

pub(super) fn depth(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let limit = call.params.integer("limit")?.unwrap_or(500);
    if ![5, 10, 20, 50, 100, 500, 1_000].contains(&limit) {
        return Err(ApiError::new(-4021, format!("{limit} is not valid depth limit.")));
    }
    let (contract, tape) = (gateway.contract(symbol), gateway.tape(symbol));
    let ladder = tape.ladder(&contract.instrument);
    let digits = contract.digits;
    let side = |levels: &[(alphaengine_core::units::Price, alphaengine_core::units::Qty)]| -> Vec<JsonText> {
        let levels = levels.iter().take(usize::try_from(limit).unwrap_or(0));
        levels.map(|(price, qty)| json!([digits.price(*price), digits.qty(*qty)])).collect()
    };
    let now = gateway.told_at(symbol);
    Ok(json!({"lastUpdateId": tape.snapshot_id(), "E": now, "T": now,
        "bids": side(&ladder.bids), "asks": side(&ladder.asks)}))
}

/// Which prices a candle endpoint shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Last,
    /// Mark or index: no volumes.
    Mark,
    /// The premium: nothing is known of it.
    Premium,
}

pub(super) fn klines(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    gateway.candle_rows(symbol, call.params, Kind::Last)
}

pub(super) fn continuous_klines(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.pair(call.params)?;
    if call.params.required("contractType")? != "PERPETUAL" {
        return Ok(json!([]));
    }
    gateway.candle_rows(symbol, call.params, Kind::Last)
}

pub(super) fn index_klines(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.pair(call.params)?;
    gateway.candle_rows(symbol, call.params, Kind::Mark)
}

pub(super) fn mark_klines(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    gateway.candle_rows(symbol, call.params, Kind::Mark)
}

pub(super) fn premium_klines(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    gateway.candle_rows(symbol, call.params, Kind::Premium)
}

pub(super) fn trades(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let limit = call.params.limit(500, 1_000)?;
    let from = call.params.integer("fromId")?;
    let digits = gateway.contract(symbol).digits;
    let prints = &gateway.tape(symbol).prints;
    let first = match from {
        Some(from) => prints.partition_point(|print| print.trade.id < from),
        None => prints.len().saturating_sub(limit),
    };
    let rows = prints.range(first..).take(limit).map(|print| {
        let trade = &print.trade;
        let quote = trade.price.notional(trade.qty, alphaengine_core::units::Rounding::HalfEven).unwrap_or_default();
        json!({"id": trade.id, "price": digits.price(trade.price), "qty": digits.qty(trade.qty),
            "quoteQty": decimal(quote.steps(), 2), "time": print.at.millis(), "isBuyerMaker": trade.is_buyer_maker,
            "isRPITrade": false})
    });
    Ok(rows.collect())
}

pub(super) fn aggregated_trades(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let limit = call.params.limit(500, 1_000)?;
    let from_id = call.params.integer("fromId")?;
    let (start, end) = span(call.params)?;
    let digits = gateway.contract(symbol).digits;
    let prints = &gateway.tape(symbol).prints;
    let until = end.unwrap_or(Timestamp::MAX);
    let last = prints.partition_point(|print| print.at <= until);
    let first = match (from_id, start) {
        (Some(from), _) => prints.partition_point(|print| print.trade.id < from),
        (None, Some(start)) => prints.partition_point(|print| print.at < start),
        (None, None) => last.saturating_sub(limit),
    };
    let rows = prints.range(first.min(last)..last).take(limit).map(|print| {
        let (trade, qty) = (&print.trade, digits.qty(print.trade.qty));
        json!({"a": trade.id, "p": digits.price(trade.price), "q": qty, "nq": qty, "f": trade.id, "l": trade.id,
            "T": print.at.millis(), "m": trade.is_buyer_maker})
    });
    Ok(rows.collect())
}

pub(super) fn premium_index(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let one = |symbol| gateway.premium(symbol);
    gateway.one_or_all(call.params, one)
}

pub(super) fn funding_rates(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let limit = call.params.limit(100, 1_000)?;
    let (start, end) = span(call.params)?;
    let (from, until) = (start.unwrap_or(Timestamp::MIN), end.unwrap_or(Timestamp::MAX));
    let wanted = gateway.contracts.iter().filter(|contract| symbol.is_none_or(|symbol| symbol == contract.id));
    let mut rows: Vec<(Timestamp, JsonText)> = Vec::new();
    for contract in wanted {
        let settlements = gateway.tape(contract.id).settlements.iter();
        let settlements = settlements.filter(|settlement| (from..=until).contains(&settlement.at));
        rows.extend(settlements.map(|settlement| {
            let row = json!({"symbol": contract.name, "fundingRate": decimal(settlement.rate.steps(), 8),
                "fundingTime": settlement.at.millis(), "markPrice": decimal(settlement.mark.steps(), 8),
                "rateType": "Regular"});
            (settlement.at, row)
        }));
    }
    rows.sort_by_key(|(at, _)| *at);
    let skipped = if start.is_some() { 0 } else { rows.len().saturating_sub(limit) };
    Ok(rows.into_iter().skip(skipped).take(limit).map(|(_, row)| row).collect())
}

pub(super) fn funding_info(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    let hour = 60 * alphaengine_core::units::NANOS_PER_MINUTE;
    let rows = gateway.contracts.iter().map(|contract| {
        json!({"symbol": contract.name, "adjustedFundingRateCap": "0.02000000",
            "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": gateway.tape(contract.id).funding_interval() / hour, "disclaimer": false})
    });
    Ok(rows.collect())
}

pub(super) fn open_interest(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let contract = gateway.contract(symbol);
    // The data do not say how much is open: a thousand of the largest lots stand for it.
    let lot = contract.instrument.lot.max.saturating_add(contract.instrument.lot.min);
    Ok(json!({"openInterest": contract.digits.qty(lot), "symbol": contract.name, "time": gateway.told_at(symbol)}))
}

/// What there are no data of: statistics, indices, auctions.
pub(super) fn nothing(_: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!([]))
}

impl Gateway {
    fn candle_rows(&self, symbol: SymbolId, params: &Params, kind: Kind) -> Answer {
        let interval = Interval::parse(params.required("interval")?);
        let interval = interval.ok_or_else(|| ApiError::new(-1120, "Invalid interval."))?;
        let limit = params.limit(500, 1_500)?;
        let (start, end) = span(params)?;
        let tape = self.tape(symbol);
        let candles = if kind == Kind::Last { &tape.candles } else { tape.mark_candles() };
        let rows = candles.select(interval, start, end, limit);
        Ok(rows.iter().map(|candle| self.candle_row(symbol, interval, candle, kind)).collect())
    }

    fn candle_row(&self, symbol: SymbolId, interval: Interval, candle: &Candle, kind: Kind) -> JsonText {
        let digits = self.contract(symbol).digits;
        let price = |price| if kind == Kind::Premium { "0.00000000".to_owned() } else { digits.price(price) };
        let (volume, quote, taken, taken_quote) = match kind {
            Kind::Last => {
                (digits.qty(candle.volume), amount(candle.quote), digits.qty(candle.taken), amount(candle.taken_quote))
            }
            Kind::Mark | Kind::Premium => ("0".into(), "0".into(), "0".into(), "0".into()),
        };
        json!([
            candle.open_time.millis(),
            price(candle.open),
            price(candle.high),
            price(candle.low),
            price(candle.close),
            volume,
            interval.close_time(candle.open_time).millis(),
            quote,
            candle.trades,
            taken,
            taken_quote,
            "0"
        ])
    }

    fn premium(&self, symbol: SymbolId) -> JsonText {
        let (contract, tape) = (self.contract(symbol), self.tape(symbol));
        let price = decimal(tape.mark_price().steps(), 8);
        let now = self.market_now();
        json!({"symbol": contract.name, "markPrice": price, "indexPrice": price, "estimatedSettlePrice": price,
            "lastFundingRate": decimal(tape.funding_rate().steps(), 8), "interestRate": "0.00010000",
            "nextFundingTime": tape.next_funding(now).millis(), "time": now.millis()})
    }

    /// An object with a symbol, a list without.
    pub(super) fn one_or_all(&self, params: &Params, one: impl Fn(SymbolId) -> JsonText) -> Answer {
        match self.symbol_if_any(params)? {
            Some(symbol) => Ok(one(symbol)),
            None => Ok(self.contracts.iter().map(|contract| one(contract.id)).collect()),
        }
    }

    /// The symbol of a pair: of perpetual contracts the same.
    fn pair(&self, params: &Params) -> Result<SymbolId, ApiError> {
        self.symbol_named(params.required("pair")?)
    }

    /// The time of the newest thing that the public heard of a symbol.
    pub(super) fn told_at(&self, symbol: SymbolId) -> i64 {
        let told = self.tape(symbol).at;
        if told == Timestamp::default() { self.market_millis() } else { told.millis() }
    }
}

/// `startTime` and `endTime`.
pub(super) fn span(params: &Params) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
    let (start, end) = (params.millis("startTime")?, params.millis("endTime")?);
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        return Err(ApiError::new(-1023, "Start time is greater than end time."));
    }
    Ok((start, end))
}
