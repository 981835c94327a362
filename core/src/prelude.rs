//! What a strategy's file needs, in one `use`.

pub use crate::attached::{IndicatorId, IndicatorKind};
pub use crate::context::Context;
pub use crate::event::TradeExecuted;
pub use crate::id::ClientOrderId;
pub use crate::indicator::Period;
pub use crate::instrument::{Instrument, Instruments, Symbol};
pub use crate::market::{Bar, BookTicker, Funding, SymbolId, Timeframe, Trade};
pub use crate::mode::Mode;
pub use crate::order::{Order, OrderSpec, OrderStatus, OrderType, PositionSide, Side, TimeInForce, WorkingType};
pub use crate::params::{Param, Params};
pub use crate::strategy::{OrderNews, Strategy, StrategyInfo};
pub use crate::units::{Money, Price, Qty, Rate, Rounding, Timestamp};
