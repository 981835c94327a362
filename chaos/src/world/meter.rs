//! The Meter takes the strategy's figures, at the exchange.

use std::collections::BTreeMap;

use alphaengine_core::event::{Event, Recorded};
use alphaengine_core::id::ClientOrderId;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::order::{OrderSpec, OrderType, Side};
use alphaengine_core::units::{Money, Nanos, Price, Rounding, Timestamp};
use alphaengine_sim::gateway::Gateway;

use crate::report::Effect;

/// What is counted while a run goes on.
#[derive(Debug)]
pub(super) struct Meter {
    effect: Effect,
    opening: Money,
    transferred: Money,
    highest: Money,
    /// The last price when a market order was wanted, by its name.
    decided: BTreeMap<ClientOrderId, Price>,
    orders: Vec<OrderSpec>,
    mode: EngineMode,
    mode_since: Timestamp,
}

impl Meter {
    pub fn new(cash: Money, at: Timestamp) -> Meter {
        Meter {
            effect: Effect::default(),
            opening: cash,
            transferred: Money::ZERO,
            highest: cash,
            decided: BTreeMap::new(),
            orders: Vec::new(),
            mode: EngineMode::Booting,
            mode_since: at,
        }
    }

    /// The market moved.
    pub fn moved(&mut self, gateway: &Gateway) {
        let equity = self.equity(gateway);
        self.highest = self.highest.max(equity);
        self.effect.max_drawdown = self.effect.max_drawdown.max(self.highest.saturating_sub(equity));
    }

    fn equity(&self, gateway: &Gateway) -> Money {
        gateway.exchange().account_figures().margin_balance().saturating_sub(self.transferred)
    }

    pub fn transferred(&mut self, amount: Money) {
        self.transferred = self.transferred.saturating_add(amount);
    }

    /// The bot recorded an event. What the market said last is what a market order was decided on.
    pub fn recorded(&mut self, recorded: &Recorded, gateway: &Gateway) {
        match &recorded.event {
            Event::OrderRequested(event) => {
                self.effect.orders += 1;
                self.orders.push(event.spec);
                if event.spec.order_type == OrderType::Market {
                    self.decided.insert(event.client_order_id, gateway.exchange().last_price(event.spec.symbol));
                }
            }
            Event::CommandRefused(_) => self.effect.refused_entries += 1,
            _ => {}
        }
    }

    pub fn take_orders(&mut self) -> Vec<OrderSpec> {
        std::mem::take(&mut self.orders)
    }

    pub fn restarted(&mut self) {
        self.effect.restarts += 1;
    }

    pub fn was_away(&mut self, span: Nanos) {
        self.effect.away += span;
    }

    pub fn mode(&mut self, at: Timestamp, mode: EngineMode) {
        if self.mode == EngineMode::Safe {
            self.effect.safe += at.since(self.mode_since);
        }
        (self.mode, self.mode_since) = (mode, at);
    }

    /// The figures at the end.
    pub fn effect(&mut self, at: Timestamp, gateway: &Gateway) -> Effect {
        self.mode(at, self.mode);
        let mut effect = self.effect;
        effect.pnl = self.equity(gateway).saturating_sub(self.opening);
        for fill in gateway.fills() {
            effect.fills += 1;
            effect.fees = effect.fees.saturating_add(fill.fee);
            if let Some(decided) = self.decided.get(&fill.client_order_id) {
                let worse = match fill.side {
                    Side::Buy => fill.price.steps().saturating_sub(decided.steps()),
                    Side::Sell => decided.steps().saturating_sub(fill.price.steps()),
                };
                let lost = Price::from_steps(worse.abs()).notional(fill.qty, Rounding::HalfEven).unwrap_or(Money::ZERO);
                let signed = if worse < 0 { Money::ZERO.saturating_sub(lost) } else { lost };
                effect.slippage = effect.slippage.saturating_add(signed);
            }
        }
        effect
    }
}
