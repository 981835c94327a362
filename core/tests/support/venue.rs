//! An exchange that answers the questions of a live session from what it is told to be: the account as it is at the venue, whatever
//! the session believes.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use std::collections::BTreeMap;

use alphaengine_core::engine::{Config, Engine, LiveConfig};
use alphaengine_core::event::Recorded;
use alphaengine_core::exchange::{ExchangeUpdate, Execution, Fill, Input, OrderUpdate, Outcome, Request, Standing};
use alphaengine_core::id::Asset;
use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::prelude::*;
use alphaengine_core::snapshot::{AccountSnapshot, BalanceSnapshot, OrderSnapshot, PositionSnapshot};
use alphaengine_core::store::{Encoder, EventLog, MemoryLog};

use super::{BTC, Desk, ETH, Puppet, SECOND, config, money, noon, price, qty, recovered, scope, words};

pub fn live() -> Config {
    Config { live: Some(LiveConfig::default()), ..config() }
}

/// The account as the exchange has it.
#[derive(Default)]
pub struct Venue {
    pub account: AccountSnapshot,
    pub trades: Vec<(SymbolId, OrderUpdate)>,
    pub income: Vec<ExchangeUpdate>,
    /// What a question about an order finds; nothing about others.
    pub orders: BTreeMap<ClientOrderId, (u64, Qty, Standing)>,
    /// Questions that get no answer, by their first word.
    pub silent: Vec<&'static str>,
    /// What was asked, one line each.
    pub asked: Vec<String>,
    /// Trades on one page.
    pub page: usize,
    answered: usize,
}

impl Venue {
    /// An account with 10,000 USDT.
    pub fn new() -> Venue {
        let mut venue = Venue { page: 1_000, ..Venue::default() };
        venue.holds("10000");
        venue
    }

    pub fn holds(&mut self, wallet: &str) {
        let asset: Asset = "USDT".parse().unwrap();
        self.account.balances = vec![BalanceSnapshot { asset, wallet: money(wallet) }];
    }

    pub fn position(&mut self, quantity: &str, entry: &str) {
        let margin = Money::ZERO;
        let (qty, entry_price) = (qty(quantity), price(entry));
        let position = PositionSnapshot { symbol: BTC, position_side: PositionSide::Both, qty, entry_price, margin };
        self.account.positions = if qty.is_zero() { Vec::new() } else { vec![position] };
    }

    pub fn open_order(&mut self, name: ClientOrderId, order_id: u64, spec: OrderSpec) {
        let order = OrderSnapshot { client_order_id: name, order_id, spec, filled: Qty::ZERO, created_at: noon() };
        self.account.orders.push(order);
    }

    /// A trade as the exchange's own list tells it: with the number of its order, not with its name.
    pub fn trade(&mut self, at: Timestamp, trade_id: u64, order_id: u64, signed: &str, at_price: &str) {
        let signed = qty(signed);
        let side = if signed.is_negative() { Side::Sell } else { Side::Buy };
        let (fee, fee_asset) = (Money::ZERO, "USDT".parse().unwrap());
        let fill = Fill {
            trade_id,
            price: price(at_price),
            qty: signed.abs(),
            fee,
            fee_asset,
            is_maker: false,
            is_liquidation: false,
            realized: Money::ZERO,
        };
        let update = OrderUpdate {
            at,
            client_order_id: ClientOrderId::default(),
            order_id,
            symbol: BTC,
            side,
            position_side: PositionSide::Both,
            execution: Execution::Trade(fill),
        };
        self.trades.push((BTC, update));
    }

    /// Answers everything that was asked since. Orders and cancels are the test's business.
    pub fn serve<L: EventLog>(&mut self, desk: &mut Desk<L>) {
        while self.answered < desk.sent.len() {
            self.serve_one(desk);
        }
    }

    fn serve_one<L: EventLog>(&mut self, desk: &mut Desk<L>) {
        let outgoing = desk.sent[self.answered];
        self.answered += 1;
        let line = words(&[outgoing]).remove(0);
        let outcome = match outgoing.request {
            Request::Snapshot => Outcome::Snapshot(Box::new(self.account.clone())),
            Request::Trades { symbol, from_id, since } => {
                let is_asked = |(of, update): &&(SymbolId, OrderUpdate)| {
                    let Execution::Trade(fill) = update.execution else { return false };
                    *of == symbol && if from_id == 0 { update.at >= since } else { fill.trade_id >= from_id }
                };
                let all: Vec<OrderUpdate> = self.trades.iter().filter(is_asked).map(|(_, update)| *update).collect();
                let more = all.len() > self.page;
                Outcome::Trades { trades: all.into_iter().take(self.page).collect(), more }
            }
            Request::Income { since } => Outcome::Income { rows: self.income.clone(), until: since, more: false },
            Request::QueryOrder { client_order_id, .. } => match self.orders.get(&client_order_id) {
                Some((order_id, filled, standing)) => {
                    Outcome::Found { order_id: *order_id, filled: *filled, standing: *standing }
                }
                None => Outcome::NotFound,
            },
            _ => return,
        };
        self.asked.push(line.clone());
        let is_silent = self.silent.iter().any(|word| line.starts_with(word));
        let outcome = if is_silent { Outcome::Unknown { reason: "silence".into() } } else { outcome };
        desk.answer(outgoing.id, outcome);
    }

    /// Answers like `serve`, up to the first snapshot.
    pub fn serve_but_snapshot<L: EventLog>(&mut self, desk: &mut Desk<L>) {
        while desk.sent.get(self.answered).is_some_and(|next| next.request != Request::Snapshot) {
            self.serve_one(desk);
        }
    }

    /// Whether everything that was asked is answered.
    pub fn is_served<L: EventLog>(&self, desk: &Desk<L>) -> bool {
        self.answered == desk.sent.len()
    }

    /// Lets time pass, and answers meanwhile.
    pub fn wait<L: EventLog>(&mut self, desk: &mut Desk<L>, seconds: i64) {
        self.serve(desk);
        for _ in 0..seconds {
            desk.wait(SECOND);
            self.serve(desk);
        }
    }

    /// What was asked since this was last called.
    pub fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    /// A session that has booted on this account, with BTCUSDT at 100 and ETHUSDT at 10.
    pub fn boot(&mut self, config: Config) -> Desk<MemoryLog> {
        let puppet = Puppet::default();
        let log = MemoryLog::new(Encoder::new(scope(), &config.instruments));
        let mut desk = Desk::over(Engine::new(config, puppet.clone(), log), puppet, noon());
        self.begin(&mut desk);
        desk
    }

    /// The streams come up, the first prices are heard, and the account is compared.
    pub fn begin<L: EventLog>(&mut self, desk: &mut Desk<L>) {
        self.answered = desk.sent.len();
        for route in Route::ALL {
            desk.hear(&ExchangeUpdate::Link(LinkUpdate::StreamUp { route }));
        }
        desk.price(BTC, "100");
        desk.price(ETH, "10");
        desk.step(Input::Ready);
        self.wait(desk, 3);
        desk.puppet.heard();
    }

    /// The process ends where it is; another one recovers and boots.
    pub fn restart(&mut self, desk: Desk<MemoryLog>, config: Config) -> Desk<MemoryLog> {
        let events: Vec<Recorded> = desk.events().to_vec();
        let mut next = recovered(config, Puppet::default(), &events, desk.now.plus(SECOND));
        self.begin(&mut next);
        next
    }
}

pub fn down<L: EventLog>(desk: &mut Desk<L>, route: Route) {
    desk.hear(&ExchangeUpdate::Link(LinkUpdate::StreamDown { route, reason: "the socket was closed".into() }));
}

pub fn up<L: EventLog>(desk: &mut Desk<L>, route: Route) {
    desk.hear(&ExchangeUpdate::Link(LinkUpdate::StreamUp { route }));
}
