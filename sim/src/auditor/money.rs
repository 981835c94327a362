//! Money: the wallet is what the log's events sum to (I9), and the ledger that the process keeps is nothing but those sums (I10).
//! Source: `binance-usdm.md` section 8.4: wallet += realised - fee + funding, and what was transferred. All sums are in steps of
//! 1e-8 and 128 bits wide, so nothing rounds.

use alphaengine_core::id::Asset;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::ledger::Account;
use alphaengine_core::state::State;
use alphaengine_core::units::Money;

use super::book::{Book, Sums, margin_asset};
use super::findings::Findings;
use super::invariant::Invariant::{I6, I9, I10};
use crate::gateway::Gateway;

/// The ledger after a step that moved money.
pub(super) fn stepped(book: &Book, state: &State, findings: &mut Findings) {
    if !book.moved.money {
        return;
    }
    for (asset, sums) in &book.money {
        let balance = |account| i128::from(state.ledger.balance(*asset, account).steps());
        let sum: i128 = Account::ALL.into_iter().map(balance).sum();
        findings.check(I10, sum == 0, || format!("the ledger's accounts in {asset} sum to {sum} steps"));
        let held = balance(Account::Wallet) + balance(Account::Margin);
        findings.check(I6, held == sums.total(), || {
            format!("the ledger holds {held} steps of {asset}, and the log's events sum to {}", sums.total())
        });
        // What is earned stands with a minus: it came from there.
        for (account, expected) in [
            (Account::Margin, sums.margins),
            (Account::RealizedPnl, -sums.realized),
            (Account::TakerFee, sums.taker_fees),
            (Account::MakerFee, sums.maker_fees),
            (Account::LiquidationFee, sums.liquidation_fees),
            (Account::FundingPaid, -sums.funding_paid),
            (Account::FundingReceived, -sums.funding_received),
        ] {
            let found = balance(account);
            findings.check(I10, found == expected, || {
                let name = account.name();
                format!("the ledger's account {name} is {found} steps of {asset}, and its events sum to {expected}")
            });
        }
    }
}

/// The end: the wallet of the log against the exchange's.
pub(super) fn quiet(
    book: &Book,
    gateway: &Gateway,
    opening: Money,
    instruments: &Instruments,
    findings: &mut Findings,
) {
    let asset = instruments.iter().next().map_or_else(Asset::default, |(id, _)| margin_asset(Some(id), instruments));
    let sums = book.money.get(&asset).copied().unwrap_or_default();
    let Sums { unexplained, .. } = sums;
    let (ours, theirs) = (sums.total(), i128::from(gateway.wallet_total().steps()));
    findings.check(I9, ours == theirs, || {
        format!(
            "the wallet is {theirs} steps of {asset} at the exchange and {ours} in the log: {} transferred, {} realised, {} fees, \
             {} funding, and it was opened with {opening}",
            sums.transfers,
            sums.realized,
            sums.fees(),
            sums.funding(),
        )
    });
    findings.check(I9, unexplained == 0, || {
        format!(
            "{unexplained} steps of {asset} in the log are a correction that no trade, payment or transfer explains"
        )
    });
}
