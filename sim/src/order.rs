//! A LiveOrder is an order as the exchange has it.

use alphaengine_core::id::ClientOrderId;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, Side, TimeInForce};
use alphaengine_core::units::{Price, Qty, Timestamp};

/// An open order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LiveOrder {
    /// Of a conditional order, its number in the algo service until it fires, then that of its child.
    pub id: u64,
    /// The number in the algo service of the conditional order whose child this is.
    pub algo_id: Option<u64>,
    pub client_order_id: ClientOrderId,
    pub spec: OrderSpec,
    pub qty: Qty,
    pub filled: Qty,
    pub arrived: Timestamp,
    pub stage: Stage,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It takes, and waits for the next price.
    Taking,
    /// It rests in the book.
    Resting,
    /// In the algo service, untriggered.
    Watching,
    /// A trailing stop: whether its activation price was reached, and the best price since then.
    Trailing { is_active: bool, best: Price },
}

impl LiveOrder {
    pub fn new(
        id: u64,
        client_order_id: ClientOrderId,
        spec: OrderSpec,
        arrived: Timestamp,
        stage: Stage,
    ) -> LiveOrder {
        LiveOrder { id, algo_id: None, client_order_id, spec, qty: spec.qty, filled: Qty::ZERO, arrived, stage }
    }

    pub fn remaining(&self) -> Qty {
        self.qty.saturating_sub(self.filled)
    }

    /// In the algo service: no part of the book, no margin.
    pub fn is_conditional(&self) -> bool {
        matches!(self.stage, Stage::Watching | Stage::Trailing { .. })
    }

    /// Whether the matching engine (or the algo service, if `conditional`) has heard of it. They do not see each other's orders,
    /// but the algo service remembers what has fired.
    pub fn is_known(&self, conditional: bool) -> bool {
        if conditional { self.is_conditional() || self.algo_id.is_some() } else { !self.is_conditional() }
    }

    /// The price of its limit; the whole range for market orders.
    pub fn limit(&self) -> Price {
        match (self.spec.order_type.price(), self.spec.side) {
            (Some(price), _) => price,
            (None, Side::Buy) => Price::MAX,
            (None, Side::Sell) => Price::ZERO,
        }
    }

    pub fn tif(&self) -> TimeInForce {
        match self.spec.order_type {
            OrderType::Limit { tif, .. } | OrderType::Stop { tif, .. } | OrderType::TakeProfit { tif, .. } => tif,
            _ => TimeInForce::Gtc,
        }
    }

    pub fn position_side(&self) -> PositionSide {
        self.spec.position_side
    }

    /// Whether it acts when the price goes down to its trigger (or up).
    pub fn fires_downwards(&self) -> bool {
        match (self.spec.order_type, self.spec.side) {
            (OrderType::TakeProfit { .. } | OrderType::TakeProfitMarket { .. }, side) => side == Side::Buy,
            (_, side) => side == Side::Sell,
        }
    }
}
