//! The Ledger keeps money twice: every entry takes from one account what it gives to another, so that all sums are zero.
//!
//! What an event does to the money depends on the event alone ([`entry`]), so the store can write the same lines that the
//! engine books.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::exchange::TransferReason;
use crate::id::Asset;
use crate::planted::{self, Bug};
use crate::units::{Error, Money};

/// Where money can be. Assets are positive, capital and income negative, expenses positive: the sum over all is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What the account holds outside isolated margins.
    Wallet,
    /// Isolated margins.
    Margin,
    InitialCapital,
    /// Deposits and withdrawals after the start.
    Transfers,
    RealizedPnl,
    TakerFee,
    MakerFee,
    LiquidationFee,
    FundingPaid,
    FundingReceived,
    /// What the insurance fund made up for.
    InsuranceFund,
    /// Kickbacks, rebates, bonuses and rewards.
    Rebates,
    /// Corrections by the exchange, and differences that the reconciler found.
    Adjustments,
}

impl Account {
    pub const ALL: [Account; 13] = [
        Account::Wallet,
        Account::Margin,
        Account::InitialCapital,
        Account::Transfers,
        Account::RealizedPnl,
        Account::TakerFee,
        Account::MakerFee,
        Account::LiquidationFee,
        Account::FundingPaid,
        Account::FundingReceived,
        Account::InsuranceFund,
        Account::Rebates,
        Account::Adjustments,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Account::Wallet => "wallet",
            Account::Margin => "margin",
            Account::InitialCapital => "initial_capital",
            Account::Transfers => "transfers",
            Account::RealizedPnl => "realized_pnl",
            Account::TakerFee => "taker_fee",
            Account::MakerFee => "maker_fee",
            Account::LiquidationFee => "liquidation_fee",
            Account::FundingPaid => "funding_paid",
            Account::FundingReceived => "funding_received",
            Account::InsuranceFund => "insurance_fund",
            Account::Rebates => "rebates",
            Account::Adjustments => "adjustments",
        }
    }
}

/// One movement: `amount` of `asset` arrives at `account` (negative: leaves it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub account: Account,
    pub asset: Asset,
    pub amount: Money,
}

/// The lines of one event. They sum to zero per asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    lines: [Line; 4],
    len: usize,
}

impl Entry {
    fn new() -> Entry {
        let nothing = Line { account: Account::Wallet, asset: Asset::default(), amount: Money::ZERO };
        Entry { lines: [nothing; 4], len: 0 }
    }

    pub fn lines(&self) -> &[Line] {
        &self.lines[..self.len]
    }

    /// Moves `amount` from one account to another; a zero amount is no movement.
    fn transfer(mut self, asset: Asset, from: Account, to: Account, amount: Money) -> Result<Entry, Error> {
        if !amount.is_zero() {
            self.lines[self.len] = Line { account: to, asset, amount };
            self.lines[self.len + 1] = Line { account: from, asset, amount: amount.checked_neg()? };
            self.len += 2;
        }
        Ok(self)
    }
}

/// What an event does to the money. `margin_asset` is the asset of its symbol; events that move nothing give no lines.
pub fn entry(event: &Event, margin_asset: Asset) -> Result<Entry, Error> {
    let entry = Entry::new();
    match event {
        Event::TransferBooked(event) => {
            let from = match event.reason {
                TransferReason::InsuranceClear => Account::InsuranceFund,
                TransferReason::Deposit if event.id == 0 => Account::InitialCapital,
                TransferReason::Opening => Account::InitialCapital,
                TransferReason::Rebate => Account::Rebates,
                TransferReason::Deposit
                | TransferReason::Withdraw
                | TransferReason::Internal
                | TransferReason::Exchange => Account::Transfers,
                TransferReason::Adjustment | TransferReason::Reconciled => Account::Adjustments,
            };
            entry.transfer(event.asset, from, Account::Wallet, event.amount)
        }
        Event::TradeExecuted(event) => {
            let fill = &event.fill;
            let fee_account = match (fill.is_liquidation, fill.is_maker) {
                (true, _) => Account::LiquidationFee,
                (false, true) => Account::MakerFee,
                (false, false) => Account::TakerFee,
            };
            // Wrong where it is planted: the exchange books eight decimals.
            let is_rounded = planted::has(Bug::LedgerRounds);
            let booked = |exact: Money| {
                if is_rounded { Money::from_steps(exact.steps() / 10_000 * 10_000) } else { exact }
            };
            entry.transfer(margin_asset, Account::RealizedPnl, Account::Wallet, booked(fill.realized))?.transfer(
                fill.fee_asset,
                Account::Wallet,
                fee_account,
                booked(fill.fee),
            )
        }
        Event::FundingApplied(event) => {
            let amount = event.payment.amount;
            let account = if amount.is_negative() { Account::FundingPaid } else { Account::FundingReceived };
            entry.transfer(margin_asset, account, Account::Wallet, amount)
        }
        Event::MarginMoved(event) => entry.transfer(margin_asset, Account::Wallet, Account::Margin, event.amount),
        _ => Ok(entry),
    }
}

/// Balances of every account and asset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// One row an asset, in the order of first use.
    books: Vec<Book>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Book {
    asset: Asset,
    #[serde(with = "balances")]
    balances: [Money; Account::ALL.len()],
}

impl Ledger {
    /// Books the lines of one event.
    pub fn post(&mut self, entry: &Entry) -> Result<(), Error> {
        for line in entry.lines() {
            let balance = self.balance_mut(line.asset, line.account);
            *balance = balance.checked_add(line.amount)?;
        }
        Ok(())
    }

    pub fn balance(&self, asset: Asset, account: Account) -> Money {
        let book = self.books.iter().find(|book| book.asset == asset);
        book.map_or(Money::ZERO, |book| book.balances[account as usize])
    }

    /// What the account holds of an asset: wallet and isolated margins.
    pub fn holdings(&self, asset: Asset) -> Money {
        self.balance(asset, Account::Wallet).saturating_add(self.balance(asset, Account::Margin))
    }

    pub fn assets(&self) -> impl Iterator<Item = Asset> {
        self.books.iter().map(|book| book.asset)
    }

    /// The sum over all accounts, per asset: zero, always.
    pub fn imbalance(&self, asset: Asset) -> i128 {
        let book = self.books.iter().find(|book| book.asset == asset);
        book.map_or(0, |book| book.balances.iter().map(|balance| i128::from(balance.steps())).sum())
    }

    fn balance_mut(&mut self, asset: Asset, account: Account) -> &mut Money {
        let index = self.books.iter().position(|book| book.asset == asset).unwrap_or_else(|| {
            self.books.push(Book { asset, balances: [Money::ZERO; Account::ALL.len()] });
            self.books.len() - 1
        });
        &mut self.books[index].balances[account as usize]
    }
}

/// Balances as a list that leaves out later accounts while they are empty, so that checkpoints from before them stay what they are.
mod balances {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Account, Money};

    /// Accounts of the first version of the store.
    const FIRST: usize = Account::InsuranceFund as usize + 1;

    pub fn serialize<S: Serializer>(all: &[Money; Account::ALL.len()], serializer: S) -> Result<S::Ok, S::Error> {
        let used = all.iter().rposition(|balance| !balance.is_zero()).map_or(0, |last| last + 1);
        all[..used.max(FIRST)].serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[Money; Account::ALL.len()], D::Error> {
        let some = Vec::<Money>::deserialize(deserializer)?;
        let mut all = [Money::ZERO; Account::ALL.len()];
        if some.len() > all.len() {
            return Err(serde::de::Error::custom("there are more accounts than this program knows"));
        }
        all[..some.len()].copy_from_slice(&some);
        Ok(all)
    }
}
