//! An Alarm is what a timer was set for.

use alphaengine_core::link::Route;
use alphaengine_core::market::SymbolId;

use super::hearing::Untold;
use crate::wire::SocketId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A call that waited may leave.
    Pump,
    /// Measure the exchange's clock again.
    Measure,
    /// A limit ends.
    LimitOver,
    /// Keep the listen key alive.
    KeepAlive,
    /// Ask for a listen key again.
    ListenKey,
    /// Look whether a stream of this socket is silent.
    Silence(SocketId),
    /// Connect a route again.
    Reconnect(Route),
    /// Replace this socket before the exchange drops it.
    Replace(SocketId),
    /// Close a socket whose successor delivers.
    Retire(SocketId),
    /// A closing bar that was due did not come.
    BarLate(SymbolId),
    /// Ask for what moved money.
    Income,
    /// Set the dead man's switch anew.
    Countdown,
    /// Ask for a book again.
    Book(SymbolId),
    /// Look whether the account's stream told what it should have told.
    Untold { socket: SocketId, symbol: SymbolId, untold: Untold },
    /// Pass on what waited for the trigger of a conditional order.
    Orphans,
}
