//! A LiveOutcome is what a session came to when it ended.

use alphaengine_core::market::SymbolId;
use alphaengine_core::order::PositionSide;
use alphaengine_core::state::State;
use alphaengine_core::units::Money;
use serde_json::{Value, json};

/// The account as it was left.
#[derive(Debug, Clone)]
pub struct LiveOutcome {
    pub session: String,
    pub store: String,
    pub events: u64,
    pub orders_given: u64,
    pub fills: u64,
    pub equity: Money,
    pub wallet: Money,
    /// Symbol, side and signed quantity of what is still held.
    pub positions: Vec<(String, &'static str, String)>,
    pub open_orders: usize,
}

impl LiveOutcome {
    /// `fills_before` are those that the store had when the session began.
    pub fn new(state: &State, store: String, fills_before: u64, equity: Money, wallet: Money) -> LiveOutcome {
        let mut positions = Vec::new();
        for index in 0..state.symbols.len() {
            let symbol = SymbolId(index as u16);
            for side in PositionSide::ALL {
                let position = state.position(symbol, side);
                if !position.is_flat() {
                    positions.push((state.symbol_name(symbol).to_owned(), side.name(), position.qty().to_string()));
                }
            }
        }
        LiveOutcome {
            session: state.session.to_string(),
            store,
            events: state.seq,
            orders_given: state.last_name(&state.session),
            fills: state.trades - fills_before,
            equity,
            wallet,
            positions,
            open_orders: state.orders.len(),
        }
    }

    pub fn table(&self) -> String {
        let positions: Vec<String> =
            self.positions.iter().map(|(symbol, side, qty)| format!("{symbol} {side} {qty}")).collect();
        let positions = if positions.is_empty() { "flat".to_owned() } else { positions.join(", ") };
        let rows = [
            ("session", self.session.clone()),
            ("orders given", self.orders_given.to_string()),
            ("fills", self.fills.to_string()),
            ("equity", self.equity.to_string()),
            ("wallet", self.wallet.to_string()),
            ("position", positions),
            ("open orders", self.open_orders.to_string()),
            ("events", self.events.to_string()),
            ("store", self.store.clone()),
        ];
        rows.iter().map(|(name, value)| format!("{name:<14}{value}\n")).collect()
    }

    pub fn json(&self) -> Value {
        let positions: Vec<Value> = self
            .positions
            .iter()
            .map(|(symbol, side, qty)| json!({"symbol": symbol, "position_side": side, "qty": qty}))
            .collect();
        json!({
            "session": self.session, "store": self.store, "events": self.events, "orders_given": self.orders_given,
            "fills": self.fills, "equity": self.equity, "wallet": self.wallet, "positions": positions,
            "open_orders": self.open_orders,
        })
    }
}
