//! What is told of orders and trades when somebody asks (`binance-usdm.md` section 3.3).

use alphaengine_core::market::SymbolId;
use alphaengine_core::units::{NANOS_PER_DAY, Rounding, Timestamp};

use super::encode::{amount, decimal};
use super::error::ApiError;
use super::json::{JsonText, json};
use super::ledger::{Income, OwnTrade};
use super::market_data::span;
use super::orders::named_order;
use super::records::{OrderRecord, Status};
use super::user_events::{good_till, stp_name, tif_name, working_name};
use super::{Call, Gateway};

type Answer = Result<JsonText, ApiError>;

pub(super) fn order(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let (id, name) = named_order(call.params)?;
    let record = gateway.query_order(symbol, id, name).ok_or_else(ApiError::no_such_order)?;
    Ok(gateway.report(&record))
}

pub(super) fn open_order(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let (id, name) = named_order(call.params)?;
    let record = gateway.query_order(symbol, id, name).filter(|order| order.status.is_open());
    Ok(gateway.report(&record.ok_or_else(ApiError::no_such_order)?))
}

pub(super) fn open_orders(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let open = gateway.seen_open().into_iter();
    let open = open.filter(|order| symbol.is_none_or(|symbol| symbol == order.spec.symbol));
    Ok(open.map(|order| gateway.report(&order)).collect())
}

pub(super) fn all_orders(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let limit = call.params.limit(500, 1_000)?;
    let from_id = call.params.integer("orderId")?.and_then(|id| u64::try_from(id).ok());
    let (start, end) = week(call)?;
    let (from, until) = (start.unwrap_or(Timestamp::MIN), end.unwrap_or(Timestamp::MAX));
    let now = gateway.market_now();
    let is_asked = |order: &OrderRecord| {
        symbol.is_none_or(|symbol| symbol == order.spec.symbol)
            && from_id.is_none_or(|from_id| order.order_id >= from_id)
            && (from..=until).contains(&order.created)
            && order.is_remembered(now)
    };
    let seen = gateway.records.all().filter_map(|order| gateway.seen(order));
    let orders: Vec<OrderRecord> = seen.filter(is_asked).collect();
    let forwards = from_id.is_some() || start.is_some();
    Ok(page(&orders, limit, forwards).iter().map(|order| gateway.report(order)).collect())
}

pub(super) fn own_trades(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let limit = call.params.limit(500, 1_000)?;
    let order_id = call.params.integer("orderId")?.and_then(|id| u64::try_from(id).ok());
    let from_id = call.params.integer("fromId")?.and_then(|id| u64::try_from(id).ok());
    let (start, end) = week(call)?;
    let (from, until) = (start.unwrap_or(Timestamp::MIN), end.unwrap_or(Timestamp::MAX));
    let name = symbol.map(|symbol| gateway.contract(symbol).name.as_str());
    let is_asked = |trade: &&OwnTrade| {
        name.is_none_or(|name| name == trade.symbol.as_str())
            && order_id.is_none_or(|order_id| order_id == trade.order_id)
            && from_id.is_none_or(|from_id| trade.id >= from_id)
            && (from..=until).contains(&trade.at)
    };
    let trades: Vec<&OwnTrade> = gateway.seen_trades().iter().filter(is_asked).collect();
    let forwards = from_id.is_some() || start.is_some();
    Ok(page(&trades, limit, forwards).iter().map(|trade| gateway.trade_report(trade)).collect())
}

pub(super) fn income(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let kind = call.params.text("incomeType");
    let limit = call.params.limit(100, 1_000)?;
    let number = call.params.integer("page")?.unwrap_or(1).max(1);
    let (start, end) = span(call.params)?;
    let (from, until) = (start.unwrap_or(Timestamp::MIN), end.unwrap_or(Timestamp::MAX));
    let seen_until = gateway.seen_until();
    let is_asked = |row: &&Income| {
        row.heard <= seen_until
            && symbol.is_none_or(|symbol| row.symbol == Some(symbol))
            && kind.is_none_or(|kind| kind == row.kind)
            && (from..=until).contains(&row.at)
    };
    let rows: Vec<&Income> = gateway.ledger.income.iter().filter(is_asked).collect();
    let skipped = usize::try_from(number - 1).unwrap_or(usize::MAX).saturating_mul(limit).min(rows.len());
    // Without a start the newest are asked for.
    let forwards = start.is_some() || number > 1;
    Ok(page(&rows[skipped..], limit, forwards).iter().map(|row| gateway.income_report(row)).collect())
}

/// Orders by which the exchange closed positions.
pub(super) fn force_orders(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let limit = call.params.limit(50, 100)?;
    let wants = call.params.text("autoCloseType").is_none_or(|kind| kind == "LIQUIDATION");
    let is_asked =
        |order: &&OrderRecord| wants && order.is_liquidation && symbol.is_none_or(|symbol| symbol == order.spec.symbol);
    let orders: Vec<&OrderRecord> = gateway.records.all().filter(is_asked).collect();
    Ok(page(&orders, limit, false).iter().map(|order| gateway.report(order)).collect())
}

pub(super) fn amendments(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    gateway.symbol(call.params)?;
    // What an order was before its amendments is not kept.
    Ok(json!([]))
}

pub(super) fn order_limits(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    let listed = gateway.limits.listed();
    Ok(listed.as_array().into_iter().flatten().skip(1).map(JsonText::of).collect())
}

impl Gateway {
    /// The acknowledgement of November 2026: without `avgPrice` and `cumQuote`.
    pub(super) fn acknowledgement(&self, order: &OrderRecord) -> JsonText {
        let spec = &order.spec;
        let contract = self.contract(spec.symbol);
        let digits = contract.digits;
        let kind = if order.is_liquidation { "LIQUIDATION" } else { spec.order_type.name() };
        let price = spec.order_type.price().map_or_else(|| "0".to_owned(), |price| digits.price(price));
        json!({
            "orderId": order.order_id, "symbol": contract.name, "status": order.status.name(),
            "clientOrderId": order.client_order_id.as_str(), "price": price, "origQty": digits.qty(order.qty),
            "executedQty": digits.qty(order.filled), "cumQty": digits.qty(order.filled),
            "timeInForce": tif_name(spec), "type": kind, "reduceOnly": spec.reduce_only,
            "closePosition": spec.close_position, "side": spec.side.name(),
            "positionSide": spec.position_side.name(), "stopPrice": "0", "workingType": working_name(spec),
            "priceProtect": spec.price_protect, "origType": kind, "priceMatch": order.price_match,
            "selfTradePreventionMode": stp_name(spec), "goodTillDate": good_till(spec),
            "updateTime": order.updated.millis(),
        })
    }

    /// ACK does not wait for the matching: the order is new and nothing is filled.
    pub(super) fn fresh_acknowledgement(&self, order: &OrderRecord) -> JsonText {
        let fresh = OrderRecord {
            status: Status::New,
            filled: alphaengine_core::units::Qty::ZERO,
            updated: order.created,
            ..*order
        };
        self.acknowledgement(&fresh)
    }

    /// RESULT: what clients that ask for it read besides.
    pub(super) fn result(&self, order: &OrderRecord) -> JsonText {
        let mut result = self.acknowledgement(order);
        result.append(&self.sums(order));
        result
    }

    /// The answer to a query.
    pub(super) fn report(&self, order: &OrderRecord) -> JsonText {
        let mut report = self.result(order);
        report.append(&json!({"time": order.created.millis(), "pair": self.contract(order.spec.symbol).name}));
        report
    }

    fn sums(&self, order: &OrderRecord) -> JsonText {
        let digits = self.contract(order.spec.symbol).digits;
        let quote = alphaengine_core::units::Money::saturating_from_exact(order.quote, Rounding::HalfEven);
        let average = order.average_price();
        let average = if average.is_zero() { "0.00".to_owned() } else { digits.price(average) };
        json!({"avgPrice": average, "cumQuote": decimal(quote.steps(), 0)})
    }

    fn trade_report(&self, trade: &OwnTrade) -> JsonText {
        let found = self.symbols.get(trade.symbol.as_str()).copied().unwrap_or(SymbolId(0));
        let digits = self.contract(found).digits;
        let quote = trade.price.notional(trade.qty, Rounding::HalfEven).unwrap_or_default();
        json!({
            "symbol": trade.symbol.as_str(), "id": trade.id, "orderId": trade.order_id, "side": trade.side.name(),
            "price": digits.price(trade.price), "qty": digits.qty(trade.qty), "quoteQty": decimal(quote.steps(), 0),
            "realizedPnl": decimal(trade.realized.steps(), 0), "marginAsset": trade.fee_asset.as_str(),
            "commission": decimal(trade.fee.steps(), 0), "commissionAsset": trade.fee_asset.as_str(),
            "time": trade.at.millis(), "positionSide": trade.position_side.name(), "pair": trade.symbol.as_str(),
            "buyer": trade.side == alphaengine_core::order::Side::Buy, "maker": trade.is_maker,
        })
    }

    fn income_report(&self, row: &Income) -> JsonText {
        let symbol = row.symbol.map_or("", |symbol| self.contract(symbol).name.as_str());
        json!({
            "symbol": symbol, "incomeType": row.kind, "income": amount(row.amount),
            "asset": self.exchange.config().asset.as_str(), "info": row.kind, "time": row.at.millis(),
            "tranId": row.tran_id, "tradeId": row.trade_id.map_or_else(String::new, |id| id.to_string()),
        })
    }
}

/// `startTime` and `endTime`, at most a week apart.
fn week(call: &Call<'_>) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
    let (start, end) = span(call.params)?;
    if let (Some(start), Some(end)) = (start, end)
        && end.since(start) > 7 * NANOS_PER_DAY
    {
        return Err(ApiError::new(-4165, "Search window is restricted to recent 7 days only."));
    }
    // A start without an end asks for the week that begins there.
    let end = end.or_else(|| start.map(|start| start.plus(7 * NANOS_PER_DAY)));
    Ok((start, end))
}

/// Oldest first: the first `limit` rows, or the last.
fn page<T>(rows: &[T], limit: usize, forwards: bool) -> &[T] {
    if forwards { &rows[..limit.min(rows.len())] } else { &rows[rows.len().saturating_sub(limit)..] }
}
