//! An AccountSnapshot is what the exchange says the account is, at one time: the truth against which the state is compared.

use crate::exchange::Setting;
use crate::id::{Asset, ClientOrderId};
use crate::market::SymbolId;
use crate::order::{OrderSpec, PositionSide};
use crate::units::{Money, Price, Qty, Timestamp};

/// The account as the exchange has it. Symbols of other sessions are left out but for their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccountSnapshot {
    /// Open orders of the session's symbols, regular and conditional ones, whoever gave them.
    pub orders: Vec<OrderSnapshot>,
    /// Positions that are not flat.
    pub positions: Vec<PositionSnapshot>,
    pub balances: Vec<BalanceSnapshot>,
    /// Leverage and margin type of each symbol, and the position mode of the account.
    pub settings: Vec<(Option<SymbolId>, Setting)>,
    /// Other symbols with positions or open orders: facts to name, never to touch.
    pub elsewhere: Vec<String>,
}

impl AccountSnapshot {
    /// The open order of this name. Names are unique within a symbol only.
    pub fn order(&self, symbol: SymbolId, id: &ClientOrderId) -> Option<&OrderSnapshot> {
        self.orders.iter().find(|order| order.spec.symbol == symbol && order.client_order_id == *id)
    }
}

/// An open order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderSnapshot {
    pub client_order_id: ClientOrderId,
    /// Of an untriggered conditional order its number in the algo service.
    pub order_id: u64,
    /// `qty` is the total one, filled or not.
    pub spec: OrderSpec,
    pub filled: Qty,
    pub created_at: Timestamp,
}

/// A position that is not flat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionSnapshot {
    pub symbol: SymbolId,
    pub position_side: PositionSide,
    /// Signed.
    pub qty: Qty,
    pub entry_price: Price,
    /// The isolated margin without unrealised profit (`isolatedWallet`); zero with cross margin.
    pub margin: Money,
}

/// What is held of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceSnapshot {
    pub asset: Asset,
    /// Isolated margins included, unrealised profit not.
    pub wallet: Money,
}
