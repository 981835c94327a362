//! What happens to the account and its contracts from outside: money that is moved, rules that change.

use alphaengine_core::exchange::TransferReason;
use alphaengine_core::instrument::{LotFilter, PriceFilter};
use alphaengine_core::market::SymbolId;
use alphaengine_core::units::{Money, Timestamp};

use super::SimExchange;

impl SimExchange {
    /// Money comes to the cross wallet, or with a minus leaves it. Nothing is refused: positions that have too little left are
    /// liquidated at the next price at which margin is looked at.
    pub(crate) fn move_money(&mut self, at: Timestamp, amount: Money) {
        self.now = self.now.max(at);
        let reason = if amount.is_negative() { TransferReason::Withdraw } else { TransferReason::Deposit };
        self.transfer(amount, reason);
        self.set_cross_bands();
    }

    /// New filters for orders that come. What rests was accepted under the old ones and stays.
    pub(crate) fn set_rules(&mut self, symbol: SymbolId, price: PriceFilter, lot: LotFilter, market_lot: LotFilter) {
        let instrument = &mut self.market_mut(symbol).instrument;
        (instrument.price, instrument.lot, instrument.market_lot) = (price, lot, market_lot);
    }
}
