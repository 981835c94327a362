//! Outcomes: what the end of each call means for the engine.

use alphaengine_core::exchange::{ExchangeUpdate, Execution, ExpiryReason, OrderUpdate, Outcome, Setting, Standing};
use alphaengine_core::id::{ClientOrderId, RequestId};
use alphaengine_core::json::Json;
use alphaengine_core::market::SymbolId;
use alphaengine_core::rate_limit::Urgency;
use alphaengine_core::units::{Qty, Timestamp};

use super::account::{self, unreadable};
use super::call::{Answer, Call, Finished, Purpose};
use super::hearing::Untold;
use super::json::Fields;
use super::listen_key::Fate;
use super::orders;
use super::query::Query;
use super::session::Session;

impl Session {
    pub(super) fn finished(&mut self, at: Timestamp, finished: Finished) {
        let Finished { purpose, answer, sent_at } = finished;
        match purpose {
            // Handled by the line itself; a limit may end it here, and it is asked again with the next measurement.
            Purpose::Time | Purpose::Countdown(_) | Purpose::Boot(_) => {}
            Purpose::ListenKey => {
                let fate = self.listen_key.made(&mut self.line, at, &answer, self.config.listen_key_keepalive);
                if let Fate::Fresh(key) = fate {
                    self.sockets.connect_private(&mut self.line, at, &key);
                }
            }
            Purpose::KeepAlive => {
                let fate = self.listen_key.kept(&mut self.line, at, &answer, self.config.listen_key_keepalive);
                self.key_is(at, fate);
            }
            Purpose::Bars(symbol) => self.history.fetched(&mut self.line, at, symbol, &answer),
            Purpose::MarketTrades(symbol) => self.trades.fetched(&mut self.line, symbol, &answer),
            Purpose::Book(symbol) => {
                let tell = !self.config.streams.book_ticker;
                self.books[symbol.index()].fetched(&mut self.line, at, symbol, &answer, tell);
            }
            Purpose::Place { id, symbol, client_order_id, conditional } => {
                let outcome = self.placed(symbol, client_order_id, conditional, &answer);
                if let Outcome::Placed { order_id } = outcome {
                    let order = if conditional { Untold::Conditional(order_id) } else { Untold::Order(order_id) };
                    self.expect_order(at, sent_at, symbol, order);
                }
                self.answer(id, outcome);
            }
            Purpose::Batch(orders) => self.batch_placed(&orders, &answer),
            Purpose::Change(id) => {
                let outcome = done(&answer);
                // An answer that was lost leaves the mode to the next snapshot.
                if let (Some(hedge), Outcome::Done) = (self.mode_changes.remove(&id), &outcome) {
                    self.user.hedge = hedge;
                }
                self.answer(id, outcome);
            }
            Purpose::CancelAll(id) => self.swept(id, &answer),
            Purpose::Query { id, symbol, client_order_id } => {
                let outcome = self.found(symbol, client_order_id, &answer);
                self.answer(id, outcome);
            }
            Purpose::QueryConditional { id, symbol, client_order_id } => {
                if let Some(outcome) = self.found_conditional(id, symbol, client_order_id, &answer) {
                    self.answer(id, outcome);
                }
            }
            Purpose::QueryChild { id, algo_id } => {
                let known = self.children.remove(&id);
                let (symbol, client_order_id) = known.map_or((SymbolId(0), ClientOrderId::default()), |k| (k.0, k.1));
                // Not there yet, or not any more: what became of it is not known.
                let outcome = match self.found(symbol, client_order_id, &answer) {
                    Outcome::Found { filled, standing, .. } => Outcome::Found { order_id: algo_id, filled, standing },
                    Outcome::NotFound => Outcome::Unknown { reason: "the child is not found".to_owned() },
                    other => other,
                };
                self.answer(id, outcome);
            }
            Purpose::Snapshot { id, part } => {
                if let Some(snapshot) = account_of!(self, part, at, id, part, &answer) {
                    let positions = snapshot.positions.iter().map(|it| (it.symbol, it.position_side, it.qty));
                    self.user.positions_are(positions);
                    for (_, setting) in &snapshot.settings {
                        if let Setting::HedgeMode { hedge } = setting {
                            self.user.hedge = *hedge;
                        }
                    }
                }
            }
            Purpose::Trades(id) => {
                account_of!(self, trades, at, id, &answer);
                if let Some((symbol, trade, time)) = self.account.newest_trade.take() {
                    self.expect_trade(at, symbol, trade, time);
                }
            }
            Purpose::Owner { id, order_id } => account_of!(self, owner, id, order_id, &answer),
            Purpose::Parents(id) => account_of!(self, parents, id, &answer),
            Purpose::Income(id) => {
                let hedge = self.user.hedge;
                account_of!(self, income, id, hedge, &answer);
            }
        }
    }

    fn placed(&mut self, symbol: SymbolId, name: ClientOrderId, conditional: bool, answer: &Answer) -> Outcome {
        if let Some(outcome) = account::failure(answer) {
            return outcome;
        }
        let field = if conditional { "algoId" } else { "orderId" };
        // A success that cannot be read may still be an order.
        let Some(order_id) = body(answer).and_then(|body| Fields::of(&body).ok()?.whole(field).ok()) else {
            return unreadable();
        };
        if !conditional {
            self.owners.learn(symbol, order_id, name);
        }
        Outcome::Placed { order_id }
    }

    fn batch_placed(&mut self, orders: &[(RequestId, SymbolId, ClientOrderId)], answer: &Answer) {
        let body = body(answer);
        let list = body.as_ref().and_then(Json::as_list).unwrap_or(&[]);
        for (place, (id, symbol, client_order_id)) in orders.iter().enumerate() {
            let outcome = account::failure(answer).unwrap_or_else(|| {
                let Some(row) = list.get(place).and_then(|row| Fields::of(row).ok()) else {
                    return unreadable();
                };
                if let Some(error) = account::refusal(row) {
                    return match super::answer::judge_code_of_batch(error) {
                        Ok(error) => Outcome::Rejected(error),
                        Err(reason) => Outcome::Unknown { reason },
                    };
                }
                match row.whole("orderId") {
                    Ok(order_id) => {
                        self.owners.learn(*symbol, order_id, *client_order_id);
                        Outcome::Placed { order_id }
                    }
                    Err(_) => unreadable(),
                }
            });
            self.line.exchange(ExchangeUpdate::Answer { id: *id, outcome });
        }
    }

    /// One of the two halves of "cancel all". The worse outcome counts.
    fn swept(&mut self, id: RequestId, answer: &Answer) {
        let Some((left, worst)) = self.sweeps.get_mut(&id) else { return };
        *left -= 1;
        let outcome = done(answer);
        if *worst == Outcome::Done || matches!(outcome, Outcome::Unknown { .. }) {
            *worst = outcome;
        }
        if *left == 0
            && let Some((_, outcome)) = self.sweeps.remove(&id)
        {
            self.answer(id, outcome);
        }
    }

    fn found(&mut self, symbol: SymbolId, name: ClientOrderId, answer: &Answer) -> Outcome {
        if let Some(outcome) = not_found(answer) {
            return outcome;
        }
        let read = body(answer).and_then(|body| {
            let order = Fields::of(&body).ok()?;
            let order_id = order.whole("orderId").ok()?;
            Some((order_id, order.qty("executedQty").ok()?, orders::standing(order)?))
        });
        let Some((order_id, filled, standing)) = read else { return unreadable() };
        self.owners.learn(symbol, order_id, name);
        Outcome::Found { order_id, filled, standing }
    }

    /// The answer about a conditional order; `None` while its child is asked about.
    fn found_conditional(
        &mut self,
        id: RequestId,
        symbol: SymbolId,
        client_order_id: ClientOrderId,
        answer: &Answer,
    ) -> Option<Outcome> {
        if let Some(outcome) = not_found(answer) {
            return Some(outcome);
        }
        let Some(body) = body(answer) else { return Some(unreadable()) };
        let Ok(order) = Fields::of(&body) else { return Some(unreadable()) };
        let Ok(algo_id) = order.whole("algoId") else { return Some(unreadable()) };
        let standing = match order.text("algoStatus") {
            "NEW" => Standing::Open,
            "CANCELED" => Standing::Canceled,
            "EXPIRED" if order.flag("closePosition") || order.flag("reduceOnly") => {
                Standing::Expired(ExpiryReason::ReduceOnly)
            }
            "EXPIRED" => Standing::Expired(ExpiryReason::GoodTillDate),
            "REJECTED" => Standing::Rejected,
            _ => match order.whole("actualOrderId") {
                Ok(child) => {
                    self.fired(&order, symbol, client_order_id, algo_id, child);
                    let name = &self.config.instruments.get(symbol).symbol;
                    let query = Query::new().with("symbol", name).with("orderId", child);
                    self.children.insert(id, (symbol, client_order_id, algo_id));
                    let call = Call::signed(Purpose::QueryChild { id, algo_id }, "/fapi/v1/order", query, 1);
                    self.line.call(call.urgency(Urgency::Vital).asks_again(0));
                    return None;
                }
                // It fires at this moment.
                Err(_) => Standing::Open,
            },
        };
        Some(Outcome::Found { order_id: algo_id, filled: Qty::ZERO, standing })
    }

    /// A question told of a trigger that the stream may not have told of.
    fn fired(&mut self, order: &Fields<'_>, symbol: SymbolId, name: ClientOrderId, algo_id: u64, child: u64) {
        let read = (order.side("side"), order.position_side("positionSide"));
        let (Ok(side), Ok(position_side)) = read else { return };
        let qty = order.qty("quantity").ok().filter(|qty| qty.is_positive());
        // A quantity that is not known yet comes with the child's own event.
        let Some(qty) = qty.or_else(|| order.qty("actualQty").ok().filter(|qty| qty.is_positive())) else { return };
        if self.owners.learn_child(symbol, child, name) {
            self.line.exchange(ExchangeUpdate::Order(OrderUpdate {
                at: order.time("triggerTime").or_else(|_| order.time("updateTime")).unwrap_or_default(),
                client_order_id: name,
                order_id: algo_id,
                symbol,
                side,
                position_side,
                execution: Execution::Triggered { child, qty },
            }));
        }
    }
}

fn body(answer: &Answer) -> Option<Json<'_>> {
    match answer {
        Answer::Accepted(body) => Json::read(body).ok(),
        Answer::Refused(_) | Answer::Unknown(_) => None,
    }
}

/// The outcome of a change. What is so already is done (-4046, -4059, -5027; `binance-usdm.md` section 6).
fn done(answer: &Answer) -> Outcome {
    match answer {
        Answer::Refused(error) if matches!(error.code, -4046 | -4059 | -5027) => Outcome::Done,
        Answer::Accepted(_) if body(answer).is_none() => unreadable(),
        _ => account::failure(answer).unwrap_or(Outcome::Done),
    }
}

fn not_found(answer: &Answer) -> Option<Outcome> {
    match answer {
        Answer::Refused(error) if matches!(error.code, -2013) => Some(Outcome::NotFound),
        _ => account::failure(answer),
    }
}
