//! A Strategy decides what to trade. It is called with what happened and speaks through a [`Context`]; the same code runs
//! against recordings and against the exchange.

use crate::command::{Refusal, Wish};
use crate::context::Context;
use crate::event::{OrderExpired, TradeExecuted};
use crate::exchange::ExchangeError;
use crate::id::ClientOrderId;
use crate::instrument::Instruments;
use crate::market::{Bar, BookTicker, Funding, SymbolId, Trade};
use crate::order::Order;
use crate::params::{Param, Params};
use crate::units::Price;

/// What a strategy is called and what can be set.
#[derive(Debug, Clone)]
pub struct StrategyInfo {
    /// The word after `--strategy`.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    pub params: Vec<Param>,
}

/// A trading strategy. Every callback has an empty default; all of them run on one thread, in the order in which things
/// became known.
///
/// ```
/// use alphaengine_core::prelude::*;
///
/// /// Buys once and waits.
/// struct Patience { bought: bool }
///
/// impl Strategy for Patience {
///     fn info() -> StrategyInfo {
///         StrategyInfo { name: "patience", about: "Buys once and waits.", params: vec![] }
///     }
///     fn new(_: &Params, _: &Instruments) -> Result<Self, String> {
///         Ok(Patience { bought: false })
///     }
///     fn on_bar(&mut self, ctx: &mut Context, symbol: SymbolId, _: &Bar) {
///         if !self.bought {
///             ctx.buy(symbol, "0.01".parse().unwrap());
///             self.bought = true;
///         }
///     }
/// }
/// ```
pub trait Strategy: Sized {
    fn info() -> StrategyInfo;

    /// Builds the strategy from its parameters. An `Err` is a sentence about parameters that do not go together.
    fn new(params: &Params, instruments: &Instruments) -> Result<Self, String>;

    /// How many bars of the base timeframe it needs before its first decision. A backtest with fewer is an error. A live session
    /// plays one bar less of the past to `on_bar` after `on_start` and drops what the strategy says to them, so that the first
    /// decision is about the present.
    fn warm_up(&self) -> usize {
        0
    }

    /// Whether it decides on book tickers. A run without any is then an error, instead of a report of a strategy that slept.
    fn follows_book(&self) -> bool {
        false
    }

    /// Whether it names the position side of each order, as hedge mode demands (-4061 otherwise). `ctx.buy` and its like trade the
    /// one position of one-way mode, so a strategy that uses them leaves this as it is, and a run in hedge mode is an error.
    fn knows_hedge_mode(&self) -> bool {
        false
    }

    /// Before everything else: subscribe to timeframes, attach indicators, recall what was saved. What happened to orders and
    /// positions while the engine recovered is in the context.
    fn on_start(&mut self, _ctx: &mut Context<'_>) {}

    /// A bar closed: of the base timeframe first, then of each subscribed higher one that ends at the same instant.
    fn on_bar(&mut self, _ctx: &mut Context<'_>, _symbol: SymbolId, _bar: &Bar) {}

    fn on_trade(&mut self, _ctx: &mut Context<'_>, _symbol: SymbolId, _trade: &Trade) {}

    fn on_book_ticker(&mut self, _ctx: &mut Context<'_>, _symbol: SymbolId, _book: &BookTicker) {}

    fn on_mark_price(&mut self, _ctx: &mut Context<'_>, _symbol: SymbolId, _mark: Price) {}

    /// A funding settlement; what it cost or brought is in the account already.
    fn on_funding(&mut self, _ctx: &mut Context<'_>, _symbol: SymbolId, _funding: &Funding) {}

    /// One of our orders was executed, wholly or in part. Comes before the order update of the same execution.
    fn on_fill(&mut self, _ctx: &mut Context<'_>, _symbol: SymbolId, _fill: &TradeExecuted) {}

    /// Something happened to one of our orders; `order.status` says where it is now.
    fn on_order_update(&mut self, _ctx: &mut Context<'_>, _order: &Order, _news: OrderNews<'_>) {}

    /// A command was refused before it left.
    fn on_refusal(&mut self, _ctx: &mut Context<'_>, _wish: &Wish, _id: Option<ClientOrderId>, _refusal: &Refusal) {}

    /// A timer that was set with `ctx.set_timer` is due.
    fn on_timer(&mut self, _ctx: &mut Context<'_>, _name: &str) {}

    /// There are no more inputs. Orders given here are not sent any more in a backtest.
    fn on_stop(&mut self, _ctx: &mut Context<'_>) {}
}

/// What an order update is about.
#[derive(Debug, Clone, Copy)]
pub enum OrderNews<'a> {
    Placed,
    Traded(&'a TradeExecuted),
    /// A conditional order fired.
    Triggered,
    Amended,
    Canceled,
    Expired(&'a OrderExpired),
    Rejected(&'a ExchangeError),
    /// A cancel or a modification was refused; the order stands as it was.
    ChangeRejected(&'a ExchangeError),
    /// The answer was lost; the engine asks.
    OutcomeUnknown,
    /// It was asked, and the order does not exist.
    ProvenAbsent,
}
