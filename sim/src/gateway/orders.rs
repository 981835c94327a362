//! Orders: placing, amending and cancelling them (`binance-usdm.md` section 3.3).

use alphaengine_core::exchange::{Outcome, Request};
use alphaengine_core::id::ClientOrderId;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{
    OrderSpec, OrderType, PositionSide, SelfTradePrevention, Side, TimeInForce, WorkingType,
};
use alphaengine_core::units::{NANOS_PER_MILLI, Price, Qty};
use serde_json::Value;

use super::error::ApiError;
use super::json::{JsonText, json};
use super::records::OrderRecord;
use super::request::Params;
use super::{Call, Gateway, Intent};

type Answer = Result<JsonText, ApiError>;

/// Orders of one batch.
const BATCH: usize = 5;
/// Cancels of one batch.
const CANCEL_BATCH: usize = 10;

pub(super) fn place(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    gateway.place_order(call.params)
}

/// Everything is checked, nothing is placed.
pub(super) fn test(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let intent = gateway.order_intent(call.params)?;
    gateway.exchange.would_accept(&intent.name, &intent.spec)?;
    Ok(json!({}))
}

pub(super) fn place_batch(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let orders = json_list(call.params, "batchOrders", BATCH)?;
    let mut place = |order: &Value| gateway.place_order(&Params::of_json(order)).unwrap_or_else(|error| error.body());
    Ok(orders.iter().map(&mut place).collect())
}

pub(super) fn amend(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    gateway.amend_order(call.params)
}

pub(super) fn amend_batch(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let orders = json_list(call.params, "batchOrders", BATCH)?;
    let mut amend = |order: &Value| gateway.amend_order(&Params::of_json(order)).unwrap_or_else(|error| error.body());
    Ok(orders.iter().map(&mut amend).collect())
}

pub(super) fn cancel(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let (id, name) = named_order(call.params)?;
    gateway.cancel_order(symbol, id, name)
}

pub(super) fn cancel_batch(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let names = |list: &str| list.replace('\'', "\"");
    let ids = call.params.either(&["orderIdList", "orderidlist"]).map(names);
    let own = call.params.either(&["origClientOrderIdList", "origclientorderidlist"]).map(names);
    let Some(list) = ids.as_ref().or(own.as_ref()) else {
        return Err(ApiError::missing("orderIdList"));
    };
    // Some send a JSON list, some a bare one.
    let parsed = serde_json::from_str::<Vec<Value>>(list);
    let listed =
        parsed.unwrap_or_else(|_| list.trim_matches(['[', ']', '"', ' ']).split(',').map(Value::from).collect());
    if listed.len() > CANCEL_BATCH {
        return Err(ApiError::new(-4032, "Exceed maximum cancel order size."));
    }
    let mut answers = Vec::new();
    for element in listed {
        let text =
            element.as_str().map_or_else(|| element.to_string(), |text| text.trim_matches(['"', ' ']).to_owned());
        let answer = if ids.is_some() {
            match text.parse() {
                Ok(id) => gateway.cancel_order(symbol, Some(id), None),
                Err(_) => Err(ApiError::malformed("orderIdList")),
            }
        } else {
            gateway.cancel_order(symbol, None, Some(&text))
        };
        answers.push(answer.unwrap_or_else(|error| error.body()));
    }
    Ok(answers.into_iter().collect())
}

pub(super) fn cancel_all(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    gateway.cancel_regular(symbol);
    Ok(json!({"code": 200, "msg": "The operation of cancel all open order is done."}))
}

/// The dead man's switch: in protocol time, for what rests in the book. Conditional orders stay.
pub(super) fn countdown(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let millis = call.params.integer("countdownTime")?.ok_or_else(|| ApiError::missing("countdownTime"))?;
    if millis < 0 {
        return Err(ApiError::malformed("countdownTime"));
    }
    gateway.countdowns.remove(&symbol);
    if millis > 0 {
        gateway.countdowns.insert(symbol, gateway.wall.plus(millis.saturating_mul(NANOS_PER_MILLI)));
    }
    Ok(json!({"symbol": gateway.contract(symbol).name, "countdownTime": millis.to_string()}))
}

impl Gateway {
    fn place_order(&mut self, params: &Params) -> Answer {
        let intent = self.order_intent(params)?;
        let with_result = is_result(params)?;
        let order_id = self.send(intent)?;
        let record = self.records.get(order_id).copied().ok_or_else(ApiError::no_such_order)?;
        Ok(if with_result { self.result(&record) } else { self.fresh_acknowledgement(&record) })
    }

    /// Sends an order into the exchange.
    pub(super) fn send(&mut self, intent: Intent) -> Result<u64, ApiError> {
        self.intent = Some(intent);
        let request = Request::PlaceOrder { client_order_id: intent.name, spec: intent.spec };
        let outcome = self.ask(request);
        self.intent = None;
        match outcome? {
            Outcome::Placed { order_id } => Ok(order_id),
            _ => Err(ApiError::new(-1000, "An unknown error occurred while processing the request.")),
        }
    }

    /// What the parameters of a regular order say.
    fn order_intent(&mut self, params: &Params) -> Result<Intent, ApiError> {
        let symbol = self.symbol(params)?;
        let side = side(params)?;
        let kind = params.required("type")?;
        let position_side = position_side(params)?;
        let qty = |gateway: &Gateway| gateway.quantity(params, symbol);
        let (order_type, price_match) = match kind {
            "MARKET" => {
                for name in ["timeInForce", "price"] {
                    // A price of zero says that there is none.
                    let is_none = params.text(name).is_none_or(|text| text.parse() == Ok(Price::ZERO));
                    if !is_none {
                        return Err(ApiError::new(-1106, format!("Parameter '{name}' sent when not required.")));
                    }
                }
                (OrderType::Market, "NONE")
            }
            "LIMIT" => {
                let tif = self.time_in_force(params, None)?;
                let (price, price_match) = self.limit_price(params, symbol, side)?;
                (OrderType::Limit { price, tif }, price_match)
            }
            "STOP" | "STOP_MARKET" | "TAKE_PROFIT" | "TAKE_PROFIT_MARKET" | "TRAILING_STOP_MARKET" => {
                return Err(ApiError::new(
                    -4120,
                    "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
                ));
            }
            _ => return Err(ApiError::new(-1116, "Invalid orderType.")),
        };
        let qty = qty(self)?.ok_or_else(|| ApiError::missing("quantity"))?;
        let spec = OrderSpec {
            position_side,
            reduce_only: self.reduce_only(params)?,
            stp: prevention(params)?,
            ..OrderSpec::market(symbol, side, qty).with_type(order_type)
        };
        let name = self.own_name(params, "newClientOrderId")?;
        Ok(Intent { name, spec, price_match })
    }

    /// `reduceOnly`, which hedge mode does not know.
    pub(super) fn reduce_only(&self, params: &Params) -> Result<bool, ApiError> {
        let reduce_only = params.flag("reduceOnly")?;
        if reduce_only == Some(true) && self.exchange.is_hedged() {
            return Err(ApiError::new(-4062, "Invalid or improper reduceOnly value."));
        }
        Ok(reduce_only.unwrap_or(false))
    }

    pub(super) fn quantity(&self, params: &Params, symbol: SymbolId) -> Result<Option<Qty>, ApiError> {
        let qty = params.decimal::<Qty>("quantity")?;
        let most = self.contract(symbol).digits.qty;
        if qty.is_some_and(|qty| super::encode::places(qty.steps()) > most) {
            return Err(ApiError::new(-1111, "Precision is over the maximum defined for this asset."));
        }
        Ok(qty)
    }

    pub(super) fn price(&self, params: &Params, name: &str, symbol: SymbolId) -> Result<Option<Price>, ApiError> {
        let price = params.decimal::<Price>(name)?;
        let most = self.contract(symbol).digits.price;
        if price.is_some_and(|price| super::encode::places(price.steps()) > most) {
            return Err(ApiError::new(-1111, "Precision is over the maximum defined for this asset."));
        }
        Ok(price)
    }

    /// The price, or what `priceMatch` makes of the book.
    fn limit_price(&self, params: &Params, symbol: SymbolId, side: Side) -> Result<(Price, &'static str), ApiError> {
        let price = self.price(params, "price", symbol)?;
        let Some(wanted) = params.text("priceMatch").filter(|wanted| *wanted != "NONE") else {
            return Ok((price.ok_or_else(|| ApiError::missing("price"))?, "NONE"));
        };
        if price.is_some() {
            return Err(ApiError::new(-1106, "Parameter 'price' sent when not required."));
        }
        const WAYS: [(&str, bool, usize); 8] = [
            ("OPPONENT", true, 0),
            ("OPPONENT_5", true, 4),
            ("OPPONENT_10", true, 9),
            ("OPPONENT_20", true, 19),
            ("QUEUE", false, 0),
            ("QUEUE_5", false, 4),
            ("QUEUE_10", false, 9),
            ("QUEUE_20", false, 19),
        ];
        let way = WAYS.into_iter().find(|(name, ..)| *name == wanted);
        let (name, is_opponent, level) = way.ok_or_else(|| ApiError::new(-5037, "Invalid price match"))?;
        let ladder = self.tape(symbol).ladder(&self.contract(symbol).instrument);
        let levels = if (side == Side::Buy) == is_opponent { ladder.asks } else { ladder.bids };
        let found = levels.get(level).map(|(price, _)| (*price, name));
        found.ok_or_else(|| ApiError::new(-5041, "No depth matches this BBO order"))
    }

    pub(super) fn time_in_force(
        &self,
        params: &Params,
        standard: Option<TimeInForce>,
    ) -> Result<TimeInForce, ApiError> {
        match (params.text("timeInForce"), standard) {
            (None, Some(standard)) => Ok(standard),
            (None, None) => Err(ApiError::missing("timeInForce")),
            (Some("GTC" | "GTE_GTC"), _) => Ok(TimeInForce::Gtc),
            (Some("IOC"), _) => Ok(TimeInForce::Ioc),
            (Some("FOK"), _) => Ok(TimeInForce::Fok),
            (Some("GTX"), _) => Ok(TimeInForce::Gtx),
            (Some("GTD"), _) => {
                let until = params.millis("goodTillDate")?.ok_or_else(|| ApiError::missing("goodTillDate"))?;
                // Seconds count; what is finer is cut off.
                Ok(TimeInForce::Gtd { until: until.floor_to(alphaengine_core::units::NANOS_PER_SECOND) })
            }
            (Some(_), _) => Err(ApiError::new(-1115, "Invalid timeInForce.")),
        }
    }

    /// The client's name for an order, or one that is made here.
    pub(super) fn own_name(&mut self, params: &Params, field: &str) -> Result<ClientOrderId, ApiError> {
        let Some(name) = params.text(field) else {
            return Ok(self.make_name());
        };
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'/' | b'_' | b'-');
        if !name.bytes().all(is_allowed) {
            return Err(ApiError::illegal(field, "^[\\.A-Z\\:/a-z0-9_-]{1,36}$"));
        }
        name.parse().map_err(|_| ApiError::new(-4015, "Client order id length should not be more than 36 chars."))
    }

    fn amend_order(&mut self, params: &Params) -> Answer {
        let symbol = self.symbol(params)?;
        let (id, name) = named_order(params)?;
        let record = self.find_order(symbol, id, name).copied().ok_or_else(ApiError::no_such_order)?;
        let side = side(params)?;
        let qty = self.quantity(params, symbol)?.ok_or_else(|| ApiError::missing("quantity"))?;
        let (price, price_match) = self.limit_price(params, symbol, side)?;
        if side != record.spec.side {
            return Err(ApiError::new(-1117, "Invalid side."));
        }
        if !record.status.is_open() {
            return Err(ApiError::no_such_order());
        }
        let client_order_id = record.exchange_name;
        let modify_id = params.integer("modifyId")?;
        self.ask(Request::ModifyOrder { client_order_id, symbol, side, qty, price, child: None })?;
        let changed = self.records.change(record.order_id, |order| {
            order.price_match = price_match;
            order.modify_id = modify_id.unwrap_or(order.modify_id);
        });
        let changed = changed.ok_or_else(ApiError::no_such_order)?;
        let mut answer = self.acknowledgement(&changed);
        answer.append(&json!({"modifyId": changed.modify_id, "pair": self.contract(symbol).name}));
        Ok(answer)
    }

    fn cancel_order(&mut self, symbol: SymbolId, id: Option<u64>, name: Option<&str>) -> Answer {
        let record = self.find_order(symbol, id, name).copied().ok_or_else(ApiError::unknown_order)?;
        if !record.status.is_open() {
            return Err(ApiError::unknown_order());
        }
        let client_order_id = record.exchange_name;
        self.ask(Request::CancelOrder { client_order_id, symbol, conditional: false, child: None })?;
        let record = self.records.get(record.order_id).copied().ok_or_else(ApiError::unknown_order)?;
        Ok(self.acknowledgement(&record))
    }

    /// Cancels what rests in the book of a symbol. Conditional orders stay.
    pub(super) fn cancel_regular(&mut self, symbol: SymbolId) {
        let open: Vec<OrderRecord> = self.records.open().filter(|order| order.spec.symbol == symbol).copied().collect();
        for order in open {
            // One that ends meanwhile is not open any more, which is what was asked for.
            let _ = self.ask(Request::CancelOrder {
                client_order_id: order.exchange_name,
                symbol,
                conditional: false,
                child: None,
            });
        }
    }

    /// The order that a request means; the number wins.
    pub(super) fn find_order(&self, symbol: SymbolId, id: Option<u64>, name: Option<&str>) -> Option<&OrderRecord> {
        let found = match (id, name) {
            (Some(id), _) => self.records.get(id),
            (None, name) => name.and_then(|name| self.records.named(symbol, &name.parse().ok()?)),
        };
        found.filter(|order| order.spec.symbol == symbol && order.is_remembered(self.market_now()))
    }
}

/// `orderId` or `origClientOrderId`, of which at least one must be there.
pub(super) fn named_order(params: &Params) -> Result<(Option<u64>, Option<&str>), ApiError> {
    let id = params.integer("orderId")?.map(|id| u64::try_from(id).unwrap_or(0));
    let name = params.text("origClientOrderId");
    if id.is_none() && name.is_none() {
        return Err(ApiError::new(
            -1102,
            "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
        ));
    }
    Ok((id, name))
}

pub(super) fn side(params: &Params) -> Result<Side, ApiError> {
    match params.required("side")? {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(ApiError::new(-1117, "Invalid side.")),
    }
}

/// `BOTH` is what one-way mode means when nothing is sent.
pub(super) fn position_side(params: &Params) -> Result<PositionSide, ApiError> {
    match params.text("positionSide") {
        None | Some("BOTH") => Ok(PositionSide::Both),
        Some("LONG") => Ok(PositionSide::Long),
        Some("SHORT") => Ok(PositionSide::Short),
        Some(_) => Err(ApiError::new(-4060, "Invalid position side.")),
    }
}

pub(super) fn prevention(params: &Params) -> Result<SelfTradePrevention, ApiError> {
    match params.text("selfTradePreventionMode") {
        None | Some("EXPIRE_MAKER") => Ok(SelfTradePrevention::ExpireMaker),
        Some("EXPIRE_TAKER") => Ok(SelfTradePrevention::ExpireTaker),
        Some("EXPIRE_BOTH") => Ok(SelfTradePrevention::ExpireBoth),
        Some("NONE") => Ok(SelfTradePrevention::None),
        Some(_) => Err(ApiError::new(-5039, "Invalid self trade prevention mode")),
    }
}

pub(super) fn working_type(params: &Params) -> Result<WorkingType, ApiError> {
    match params.text("workingType") {
        None | Some("CONTRACT_PRICE") => Ok(WorkingType::Contract),
        Some("MARK_PRICE") => Ok(WorkingType::Mark),
        Some(_) => Err(ApiError::new(-4031, "Invalid working type")),
    }
}

fn is_result(params: &Params) -> Result<bool, ApiError> {
    match params.text("newOrderRespType") {
        None | Some("ACK") => Ok(false),
        // FULL is a word of the Spot exchange that clients send to both.
        Some("RESULT" | "FULL") => Ok(true),
        Some(_) => Err(ApiError::new(-1136, "Invalid newOrderRespType.")),
    }
}

/// A JSON list in a parameter.
fn json_list(params: &Params, name: &str, most: usize) -> Result<Vec<Value>, ApiError> {
    let list: Vec<Value> = serde_json::from_str(params.required(name)?).map_err(|_| ApiError::malformed(name))?;
    if list.is_empty() || list.len() > most {
        return Err(ApiError::new(-4082, "Invalid number of batch place orders."));
    }
    Ok(list)
}
