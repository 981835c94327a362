//! Filters: what the exchange refuses before matching, each with its own code (`binance-usdm.md` sections 3.2 and 6).

use alphaengine_core::exchange::ExchangeError;
use alphaengine_core::id::ClientOrderId;
use alphaengine_core::instrument::{Instrument, LotFilter};
use alphaengine_core::order::{OrderSpec, OrderType, Side};
use alphaengine_core::units::{Price, Qty, Rate, Rounding};

/// A refusal.
pub(crate) fn refuse(code: i32, message: &'static str) -> ExchangeError {
    ExchangeError { code, message: message.into() }
}

/// Checks prices and quantity of an order against the symbol's filters. `mark` is zero before the first price.
pub(crate) fn check(spec: &OrderSpec, instrument: &Instrument, mark: Price) -> Result<(), ExchangeError> {
    check_status(instrument)?;
    if let Some(price) = spec.order_type.price() {
        check_price(price, instrument)?;
        match spec.order_type.trigger() {
            Some(trigger) => check_band_of_trigger(price, spec.side, instrument, trigger)?,
            None => check_band(price, spec.side, instrument, mark)?,
        }
    }
    match (spec.order_type, spec.order_type.trigger()) {
        (OrderType::TrailingStopMarket { .. }, Some(activation)) => check_activation(activation, instrument)?,
        (_, Some(trigger)) => check_trigger(trigger, instrument)?,
        _ => {}
    }
    if spec.close_position {
        return Ok(());
    }
    let is_market = spec.order_type.price().is_none();
    check_lot(spec.qty, if is_market { &instrument.market_lot } else { &instrument.lot })?;
    let price = spec.order_type.price().or(spec.order_type.trigger()).unwrap_or(mark);
    check_notional(spec, instrument, price)
}

/// Checks what may have changed since a conditional order was placed: the market, and the state of the symbol.
pub(crate) fn check_child(spec: &OrderSpec, instrument: &Instrument, mark: Price) -> Result<(), ExchangeError> {
    check_status(instrument)?;
    spec.order_type.price().map_or(Ok(()), |price| check_band(price, spec.side, instrument, mark))
}

/// Checks a new price and quantity of a resting order.
pub(crate) fn check_change(
    spec: &OrderSpec,
    qty: Qty,
    price: Price,
    instrument: &Instrument,
    mark: Price,
) -> Result<(), ExchangeError> {
    check_price(price, instrument)?;
    check_band(price, spec.side, instrument, mark)?;
    check_lot(qty, &instrument.lot)?;
    let changed = OrderSpec { qty, ..*spec };
    check_notional(&changed, instrument, price)
        .map_err(|_| refuse(-5029, "Order's notional must be no smaller than the minimum."))
}

fn check_status(instrument: &Instrument) -> Result<(), ExchangeError> {
    if instrument.status == "TRADING" { Ok(()) } else { Err(refuse(-1122, "Invalid symbol status.")) }
}

fn check_price(price: Price, instrument: &Instrument) -> Result<(), ExchangeError> {
    let filter = &instrument.price;
    if !price.is_positive() {
        return Err(refuse(-4001, "Price less than or equal to zero."));
    }
    if filter.max.is_positive() && price > filter.max {
        return Err(refuse(-4002, "Price greater than max price."));
    }
    if price < filter.min {
        return Err(refuse(-4013, "Price less than min price."));
    }
    if off_grid(price.steps() - filter.min.steps(), filter.tick.steps()) {
        return Err(refuse(-4014, "Price not increased by tick size."));
    }
    Ok(())
}

fn check_trigger(trigger: Price, instrument: &Instrument) -> Result<(), ExchangeError> {
    let filter = &instrument.price;
    if !trigger.is_positive() {
        return Err(refuse(-4006, "Stop price less than or equal to zero."));
    }
    if filter.max.is_positive() && trigger > filter.max {
        return Err(refuse(-4007, "Stop price greater than max price."));
    }
    if off_grid(trigger.steps() - filter.min.steps(), filter.tick.steps()) {
        return Err(refuse(-4014, "Price not increased by tick size."));
    }
    Ok(())
}

fn check_activation(activation: Price, instrument: &Instrument) -> Result<(), ExchangeError> {
    let filter = &instrument.price;
    if !activation.is_positive() || filter.max.is_positive() && activation > filter.max {
        return Err(refuse(-4135, "Invalid activation price."));
    }
    check_trigger(activation, instrument)
}

/// PERCENT_PRICE: no buy too far above the mark, no sell too far below it.
fn check_band(price: Price, side: Side, instrument: &Instrument, mark: Price) -> Result<(), ExchangeError> {
    match beyond_band(price, side, instrument, mark) {
        None => Ok(()),
        Some(Side::Buy) => Err(refuse(-4016, "Limit price can't be higher than the multiplier allows.")),
        Some(Side::Sell) => Err(refuse(-4024, "Limit price can't be lower than the multiplier allows.")),
    }
}

/// The same of a conditional order's limit, which is measured from its trigger: the mark of that moment is not known yet.
fn check_band_of_trigger(
    price: Price,
    side: Side,
    instrument: &Instrument,
    trigger: Price,
) -> Result<(), ExchangeError> {
    match beyond_band(price, side, instrument, trigger) {
        None => Ok(()),
        Some(Side::Buy) => Err(refuse(-4183, "Limit price can't be higher than the stop price multiplier allows.")),
        Some(Side::Sell) => Err(refuse(-4184, "Limit price can't be lower than the stop price multiplier allows.")),
    }
}

/// On which side a price is too far from `center`, if it is. Before the first price there is no band.
fn beyond_band(price: Price, side: Side, instrument: &Instrument, center: Price) -> Option<Side> {
    let bound = |rate: Rate, rounding| center.times(rate, rounding).unwrap_or(Price::MAX);
    let (up, down) = (instrument.percent_up, instrument.percent_down);
    let is_beyond = match side {
        Side::Buy => up.is_positive() && price > bound(up, Rounding::Floor),
        Side::Sell => down.is_positive() && price < bound(down, Rounding::Ceil),
    };
    (is_beyond && !center.is_zero()).then_some(side)
}

fn check_lot(qty: Qty, lot: &LotFilter) -> Result<(), ExchangeError> {
    if !qty.is_positive() {
        return Err(refuse(-4003, "Quantity less than or equal to zero."));
    }
    if qty < lot.min {
        return Err(refuse(-4004, "Quantity less than min quantity."));
    }
    if lot.max.is_positive() && qty > lot.max {
        return Err(refuse(-4005, "Quantity greater than max quantity."));
    }
    if off_grid(qty.steps() - lot.min.steps(), lot.step.steps()) {
        return Err(refuse(-4023, "Quantity not increased by step size."));
    }
    Ok(())
}

fn check_notional(spec: &OrderSpec, instrument: &Instrument, price: Price) -> Result<(), ExchangeError> {
    let is_conditional_market = spec.order_type.is_conditional() && spec.order_type.price().is_none();
    if spec.only_reduces() || price.is_zero() || (is_conditional_market && spec.close_position) {
        return Ok(());
    }
    let notional =
        price.notional(spec.qty, Rounding::Floor).map_err(|_| refuse(-4005, "Quantity greater than max quantity."))?;
    if notional < instrument.min_notional {
        return Err(refuse(
            -4164,
            "Order's notional must be no smaller than the minimum (unless you choose reduce only).",
        ));
    }
    Ok(())
}

/// The name of an order: 1 to 36 of `.A-Z:/a-z0-9_-`.
pub(crate) fn check_name(name: &ClientOrderId) -> Result<(), ExchangeError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte);
    if name.is_empty() || !name.as_str().bytes().all(is_allowed) {
        return Err(refuse(-4015, "Client order id is not valid."));
    }
    Ok(())
}

/// Checks what does not depend on the symbol: mode, flags and times of an order.
pub(crate) fn check_flags(spec: &OrderSpec, hedge: bool) -> Result<(), ExchangeError> {
    use alphaengine_core::order::PositionSide;
    if hedge != (spec.position_side != PositionSide::Both) {
        return Err(refuse(-4061, "Order's position side does not match user's setting."));
    }
    if hedge && spec.reduce_only {
        return Err(refuse(-4062, "ReduceOnly is not accepted in hedge mode."));
    }
    if spec.close_position {
        if !matches!(spec.order_type, OrderType::StopMarket { .. } | OrderType::TakeProfitMarket { .. }) {
            return Err(refuse(-4136, "Target strategy invalid for this order type with closePosition."));
        }
        if !spec.qty.is_zero() {
            return Err(refuse(-4137, "Quantity must be zero with closePosition equals true."));
        }
        if spec.reduce_only {
            return Err(refuse(-4138, "Reduce only must be true or not sent with closePosition."));
        }
        if matches!(
            (spec.side, spec.position_side),
            (Side::Buy, PositionSide::Long) | (Side::Sell, PositionSide::Short)
        ) {
            return Err(refuse(-4061, "Order's position side does not match user's setting."));
        }
    }
    if let OrderType::TrailingStopMarket { callback, .. } = spec.order_type {
        // 0.1 % to 20 %, in steps of 0.1 %.
        let allowed = Rate::from_steps(100_000)..=Rate::from_steps(20_000_000);
        if !allowed.contains(&callback) || callback.steps() % 100_000 != 0 {
            return Err(refuse(-1130, "Data sent for parameter 'callbackRate' is not valid."));
        }
    }
    Ok(())
}

fn off_grid(offset: i64, grid: i64) -> bool {
    grid > 0 && offset % grid != 0
}

#[cfg(test)]
mod tests {
    use alphaengine_core::instrument::Catalog;
    use alphaengine_core::market::SymbolId;
    use alphaengine_core::order::{PositionSide, TimeInForce};

    use super::*;

    const ID: SymbolId = SymbolId(0);

    fn bitcoin() -> Instrument {
        Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone()
    }

    fn limit(side: Side, qty: &str, price: &str) -> OrderSpec {
        OrderSpec::limit(ID, side, qty.parse().unwrap(), price.parse().unwrap())
    }

    fn code(spec: &OrderSpec) -> i32 {
        check(spec, &bitcoin(), "100000".parse().unwrap()).map_or_else(|error| error.code, |()| 0)
    }

    #[test]
    fn every_filter_has_its_code() {
        let market = |qty: &str| OrderSpec::market(ID, Side::Buy, qty.parse().unwrap());
        let stop =
            |trigger: &str| market("0.01").with_type(OrderType::StopMarket { trigger: trigger.parse().unwrap() });
        let cases = [
            (0, limit(Side::Buy, "0.01", "100000.1")),
            (-4001, limit(Side::Buy, "0.01", "0")),
            (-4002, limit(Side::Sell, "0.01", "90000000")),
            (-4013, limit(Side::Buy, "0.01", "10")),
            (-4014, limit(Side::Buy, "0.01", "100000.15")),
            (-4016, limit(Side::Buy, "0.01", "105000.1")),
            (-4024, limit(Side::Sell, "0.01", "94999.9")),
            (-4003, limit(Side::Buy, "0", "100000")),
            (-4004, limit(Side::Buy, "0.0005", "100000")),
            (-4005, limit(Side::Buy, "100000", "100000")),
            (-4023, limit(Side::Buy, "0.0015", "100000")),
            (
                -4164,
                limit(Side::Buy, "0.001", "99000")
                    .with_type(OrderType::Limit { price: "600".parse().unwrap(), tif: TimeInForce::Gtc }),
            ),
            (-4005, market("500")),
            (-4006, stop("0")),
            (-4007, stop("90000000")),
            (-4014, stop("100000.05")),
            (0, stop("120000")),
        ];
        for (expected, spec) in cases {
            assert_eq!(code(&spec), expected, "{spec:?}");
        }
        let halted = Instrument { status: "TRADING_HALT".into(), ..bitcoin() };
        assert_eq!(check(&market("0.01"), &halted, Price::ZERO).unwrap_err().code, -1122);
    }

    #[test]
    fn reduce_only_is_exempt_from_the_smallest_notional() {
        let small = limit(Side::Sell, "0.001", "100000");
        let cheap = Instrument { min_notional: "5000".parse().unwrap(), ..bitcoin() };
        let mark = "100000".parse().unwrap();
        assert_eq!(check(&small, &cheap, mark).unwrap_err().code, -4164);
        assert!(check(&small.reduce_only(), &cheap, mark).is_ok());
    }

    #[test]
    fn flags_must_go_together() {
        let spec = limit(Side::Buy, "0.01", "100000");
        let code = |spec: &OrderSpec, hedge| check_flags(spec, hedge).map_or_else(|error| error.code, |()| 0);
        assert_eq!(code(&spec, false), 0);
        assert_eq!(code(&spec, true), -4061);
        assert_eq!(code(&spec.position_side(PositionSide::Long), false), -4061);
        assert_eq!(code(&spec.position_side(PositionSide::Long).reduce_only(), true), -4062);
        let close = OrderSpec { close_position: true, ..spec };
        assert_eq!(code(&close, false), -4136);
        let close = close.with_type(OrderType::StopMarket { trigger: "90000".parse().unwrap() });
        assert_eq!(code(&close, false), -4137);
        let close = OrderSpec { qty: Qty::ZERO, ..close };
        assert_eq!(code(&close, false), 0);
        assert_eq!(code(&close.reduce_only(), false), -4138);
        for (callback, expected) in [("0.001", 0), ("0.2", 0), ("0.0005", -1130), ("0.3", -1130), ("0.0015", -1130)] {
            let order_type = OrderType::TrailingStopMarket { activation: None, callback: callback.parse().unwrap() };
            assert_eq!(code(&spec.with_type(order_type), false), expected, "{callback}");
        }
    }
}
