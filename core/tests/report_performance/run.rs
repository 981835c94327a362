//! A run without an engine: events and prices go into state, account and performance in the engine's order.

use alphaengine_core::account::Account;
use alphaengine_core::event::{Event, FundingApplied, Recorded, Source, TradeExecuted, TransferBooked};
use alphaengine_core::exchange::{Fill, FundingPayment, TransferReason};
use alphaengine_core::id::Asset;
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::performance::Performance;
use alphaengine_core::report::Report;
use alphaengine_core::state::State;
use alphaengine_core::units::{Money, NANOS_PER_SECOND, Price, Qty, Rate, Timestamp};

pub struct Run {
    pub instruments: Instruments,
    pub state: State,
    pub account: Account,
    pub performance: Performance,
    pub now: Timestamp,
    trades: u64,
}

/// One fill; the rest of it follows from the position.
#[derive(Debug, Clone, Copy)]
pub struct Trade {
    pub symbol: SymbolId,
    pub position_side: PositionSide,
    pub side: Side,
    pub qty: Qty,
    pub price: Price,
    pub fee: Money,
    pub fee_asset: &'static str,
    pub is_maker: bool,
}

impl Run {
    /// From `start` with `capital` of USDT.
    pub fn new(symbols: &[&str], start: &str, capital: i64) -> Run {
        let catalog = Catalog::builtin();
        let named = symbols.iter().map(|symbol| catalog.get(&symbol.parse().unwrap()).unwrap().clone());
        let instruments = Instruments::new(named.collect()).unwrap();
        let mut run = Run {
            state: State::new(&instruments),
            account: Account::new("USDT".parse().unwrap(), symbols.len()),
            performance: Performance::new(symbols.len()),
            instruments,
            now: start.parse().unwrap(),
            trades: 0,
        };
        run.transfer(0, "USDT", Money::whole(capital), TransferReason::Deposit);
        run
    }

    pub fn wait(&mut self, seconds: i64) {
        self.now = self.now.plus(seconds * NANOS_PER_SECOND);
    }

    pub fn record(&mut self, symbol: Option<SymbolId>, event: impl Into<Event>) {
        let (seq, at) = (self.state.seq + 1, self.now);
        let recorded =
            Recorded { seq, at, source: Source::Sim, command: None, causation: 0, symbol, event: event.into() };
        self.state.apply(&recorded).unwrap();
        self.performance.fold(&recorded, &self.state);
    }

    pub fn transfer(&mut self, id: u64, asset: &str, amount: Money, reason: TransferReason) {
        self.record(None, TransferBooked { id, asset: asset.parse().unwrap(), amount, reason });
        self.account.refresh(&self.state, None);
        self.performance.observe(self.now, &self.account);
    }

    pub fn price(&mut self, symbol: SymbolId, price: Price) {
        self.performance.price(symbol, price);
        if self.account.last_price(symbol, price) {
            self.performance.observe(self.now, &self.account);
        }
    }

    pub fn trade(&mut self, trade: Trade) {
        self.trades += 1;
        let mut position = *self.state.position(trade.symbol, trade.position_side);
        let realized = position.fill(trade.side.signed(trade.qty), trade.price).unwrap();
        let event = TradeExecuted {
            client_order_id: format!("order-{}", self.trades).parse().unwrap(),
            order_id: self.trades,
            side: trade.side,
            position_side: trade.position_side,
            traded_at: self.now,
            fill: Fill {
                trade_id: self.trades,
                price: trade.price,
                qty: trade.qty,
                fee: trade.fee,
                fee_asset: trade.fee_asset.parse::<Asset>().unwrap(),
                is_maker: trade.is_maker,
                is_liquidation: false,
                realized,
            },
        };
        self.record(Some(trade.symbol), event);
        self.account.refresh(&self.state, Some(trade.symbol));
        self.performance.observe(self.now, &self.account);
    }

    /// A fill of the first symbol in one-way mode, after the price was said.
    pub fn fill(&mut self, signed: &str, price: i64, fee: i64) {
        let signed: Qty = signed.parse().unwrap();
        self.price(SymbolId(0), Price::whole(price));
        self.trade(Trade {
            symbol: SymbolId(0),
            position_side: PositionSide::Both,
            side: if signed.is_negative() { Side::Sell } else { Side::Buy },
            qty: signed.abs(),
            price: Price::whole(price),
            fee: Money::whole(fee),
            fee_asset: "USDT",
            is_maker: false,
        });
    }

    pub fn fund(&mut self, symbol: SymbolId, position_side: PositionSide, amount: Money) {
        let payment = FundingPayment {
            symbol,
            position_side,
            settled_at: self.now,
            rate: Some(Rate::ZERO),
            mark: Some(Price::ONE),
            position: self.state.position(symbol, position_side).qty(),
            amount,
            id: None,
        };
        self.record(Some(symbol), FundingApplied { payment });
        self.account.refresh(&self.state, Some(symbol));
        self.performance.observe(self.now, &self.account);
    }

    pub fn finish(&mut self) -> Report {
        self.performance.finish(self.now, &self.state, &self.account);
        Report::new(&self.performance, &self.instruments, "0.0005".parse().unwrap())
    }
}
