//! The algo service: conditional orders until they fire (`binance-usdm.md` section 3.4).

use alphaengine_core::exchange::Request;
use alphaengine_core::order::{OrderSpec, OrderType, TimeInForce};
use alphaengine_core::units::{NANOS_PER_DAY, Qty, Rate, Timestamp};

use super::encode::Digits;
use super::error::ApiError;
use super::json::{JsonText, json};
use super::market_data::span;
use super::orders::{position_side, prevention, side, working_type};
use super::records::AlgoRecord;
use super::request::Params;
use super::user_events::{good_till, stp_name, tif_name, trailing_texts, working_name};
use super::{Call, Gateway, Intent};

type Answer = Result<JsonText, ApiError>;

pub(super) fn place(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let intent = gateway.algo_intent(call.params)?;
    let algo_id = gateway.send(intent)?;
    let algo = gateway.records.algo(algo_id).ok_or_else(ApiError::no_such_order)?;
    Ok(gateway.algo_report(algo, false))
}

pub(super) fn query(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let algo = gateway.find_algo(call.params)?.and_then(|algo| gateway.seen_algo(algo));
    Ok(gateway.algo_report(&algo.ok_or_else(ApiError::no_such_order)?, true))
}

pub(super) fn cancel(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let algo = gateway.find_algo(call.params)?.copied().ok_or_else(ApiError::unknown_order)?;
    gateway.cancel_algo(&algo)?;
    Ok(json!({"algoId": algo.algo_id, "clientAlgoId": algo.client_algo_id.as_str(), "code": "200",
        "msg": "success"}))
}

pub(super) fn cancel_all(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let open: Vec<AlgoRecord> =
        gateway.records.open_algos().filter(|algo| algo.spec.symbol == symbol).copied().collect();
    for algo in open {
        // One that fires meanwhile is not open any more.
        let _ = gateway.cancel_algo(&algo);
    }
    Ok(json!({"code": 200, "msg": "The operation of cancel all open order is done."}))
}

pub(super) fn open(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let id = call.params.integer("algoId")?.and_then(|id| u64::try_from(id).ok());
    let is_asked = |algo: &AlgoRecord| {
        symbol.is_none_or(|symbol| symbol == algo.spec.symbol) && id.is_none_or(|id| id == algo.algo_id)
    };
    let open = gateway.seen_open_algos().into_iter().filter(is_asked);
    Ok(open.map(|algo| gateway.algo_report(&algo, true)).collect())
}

pub(super) fn all(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let limit = call.params.limit(500, 1_000)?;
    let from_id = call.params.integer("algoId")?.and_then(|id| u64::try_from(id).ok());
    let (start, end) = span(call.params)?;
    let from = start.unwrap_or(Timestamp::MIN);
    let until = end.or_else(|| start.map(|start| start.plus(7 * NANOS_PER_DAY))).unwrap_or(Timestamp::MAX);
    let is_asked = |algo: &AlgoRecord| {
        symbol.is_none_or(|symbol| symbol == algo.spec.symbol)
            && from_id.is_none_or(|from_id| algo.algo_id >= from_id)
            && (from..=until).contains(&algo.created)
    };
    let seen = gateway.records.all_algos().filter_map(|algo| gateway.seen_algo(algo));
    let algos: Vec<AlgoRecord> = seen.filter(is_asked).collect();
    let skipped = if from_id.is_some() || start.is_some() { 0 } else { algos.len().saturating_sub(limit) };
    Ok(algos[skipped..].iter().take(limit).map(|algo| gateway.algo_report(algo, true)).collect())
}

impl Gateway {
    fn cancel_algo(&mut self, algo: &AlgoRecord) -> Result<(), ApiError> {
        let request = Request::CancelOrder {
            client_order_id: algo.client_algo_id,
            symbol: algo.spec.symbol,
            conditional: true,
            child: None,
        };
        self.ask(request).map(|_| ())
    }

    fn find_algo(&self, params: &Params) -> Result<Option<&AlgoRecord>, ApiError> {
        let id = params.integer("algoId")?.and_then(|id| u64::try_from(id).ok());
        let name = params.text("clientAlgoId");
        match (id, name) {
            (Some(id), _) => Ok(self.records.algo(id)),
            (None, Some(name)) => Ok(name.parse().ok().and_then(|name| self.records.algo_named(&name))),
            (None, None) => {
                Err(ApiError::new(-1102, "Param 'clientAlgoId' or 'algoId' must be sent, but both were empty/null!"))
            }
        }
    }

    /// What the parameters of a conditional order say.
    fn algo_intent(&mut self, params: &Params) -> Result<Intent, ApiError> {
        let symbol = self.symbol(params)?;
        let side = side(params)?;
        if params.required("algoType")? != "CONDITIONAL" {
            return Err(ApiError::malformed("algoType"));
        }
        let price =
            |gateway: &Gateway, name: &str| gateway.price(params, name, symbol)?.ok_or_else(|| ApiError::missing(name));
        let tif = self.time_in_force(params, Some(TimeInForce::Gtc))?;
        let order_type = match params.required("type")? {
            "STOP" => OrderType::Stop { trigger: price(self, "triggerPrice")?, price: price(self, "price")?, tif },
            "STOP_MARKET" => OrderType::StopMarket { trigger: price(self, "triggerPrice")? },
            "TAKE_PROFIT" => {
                OrderType::TakeProfit { trigger: price(self, "triggerPrice")?, price: price(self, "price")?, tif }
            }
            "TAKE_PROFIT_MARKET" => OrderType::TakeProfitMarket { trigger: price(self, "triggerPrice")? },
            "TRAILING_STOP_MARKET" => {
                let percent = params.decimal::<Rate>("callbackRate")?;
                let percent = percent.ok_or_else(|| ApiError::missing("callbackRate"))?;
                let activation = match self.price(params, "activatePrice", symbol)? {
                    Some(price) => Some(price),
                    None => self.price(params, "activationPrice", symbol)?,
                };
                OrderType::TrailingStopMarket { activation, callback: Rate::from_steps(percent.steps() / 100) }
            }
            _ => return Err(ApiError::new(-1116, "Invalid orderType.")),
        };
        let close_position = params.flag("closePosition")?.unwrap_or(false);
        let qty = self.quantity(params, symbol)?;
        let qty = match qty {
            Some(qty) => qty,
            None if close_position => Qty::ZERO,
            None => return Err(ApiError::missing("quantity")),
        };
        let spec = OrderSpec {
            position_side: position_side(params)?,
            reduce_only: self.reduce_only(params)?,
            close_position,
            working_type: working_type(params)?,
            price_protect: params.flag("priceProtect")?.unwrap_or(false),
            stp: prevention(params)?,
            ..OrderSpec::market(symbol, side, qty).with_type(order_type)
        };
        let name = self.own_name(params, "clientAlgoId")?;
        Ok(Intent { name, spec, price_match: "NONE" })
    }

    /// A conditional order; a query tells of its child too.
    fn algo_report(&self, algo: &AlgoRecord, is_query: bool) -> JsonText {
        let spec = &algo.spec;
        let contract = self.contract(spec.symbol);
        let digits: Digits = contract.digits;
        let price = |price: Option<alphaengine_core::units::Price>| {
            price.map_or_else(|| digits.price(Default::default()), |price| digits.price(price))
        };
        let trailing = trailing_texts(spec, digits);
        let trigger = if trailing.is_some() { None } else { spec.order_type.trigger() };
        let (activation, callback) = trailing.unwrap_or_default();
        let mut report = json!({
            "algoId": algo.algo_id, "clientAlgoId": algo.client_algo_id.as_str(), "algoType": "CONDITIONAL",
            "orderType": spec.order_type.name(), "symbol": contract.name, "side": spec.side.name(),
            "positionSide": spec.position_side.name(), "timeInForce": tif_name(spec),
            "quantity": digits.qty(spec.qty), "algoStatus": algo.status.name(), "triggerPrice": price(trigger),
            "price": price(spec.order_type.price()), "icebergQuantity": null,
            "selfTradePreventionMode": stp_name(spec), "workingType": working_name(spec), "priceMatch": "NONE",
            "closePosition": spec.close_position, "priceProtect": spec.price_protect,
            "reduceOnly": spec.reduce_only, "activatePrice": activation, "callbackRate": callback,
            "createTime": algo.created.millis(), "updateTime": algo.updated.millis(),
            "triggerTime": algo.triggered.map_or(0, Timestamp::millis), "goodTillDate": good_till(spec),
        });
        if is_query {
            let child = algo.child.and_then(|child| self.seen(self.records.get(child)?));
            report.append(&json!({
                "actualOrderId": algo.child.map_or_else(String::new, |child| child.to_string()),
                "actualPrice": child.map_or_else(|| "0.00000".to_owned(), |child| digits.price(child.average_price())),
                "actualQty": child.map_or_else(|| "0.00000".to_owned(), |child| digits.qty(child.filled)),
                "actualType": child.map_or("", |child| child.spec.order_type.name()),
                "tpTriggerPrice": "0.000", "tpPrice": "0.000", "slTriggerPrice": "0.000", "slPrice": "0.000",
                "tpOrderType": "",
            }));
        }
        report
    }
}
