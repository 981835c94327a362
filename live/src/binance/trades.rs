//! Trades are numbered without holes, so a hole in the stream is seen and filled where that is cheap (`binance-usdm.md` section 7.1).

use alphaengine_core::market::{MarketData, MarketUpdate, SymbolId, Trade};
use alphaengine_core::units::{Price, Qty};
use serde::Deserialize;

use super::call::{Answer, Call, Purpose};
use super::line::Line;
use super::market::millis;
use super::query::Query;

/// A page costs 20; larger holes are left.
const MOST_MISSING: i64 = 1_000;
/// So many trades wait for what is missing before them; then they go on without it.
const MOST_HELD: usize = 5_000;

#[derive(Debug)]
pub(crate) struct Trades {
    tracks: Vec<Track>,
}

#[derive(Debug, Clone, Default)]
struct Track {
    last: Option<i64>,
    held: Vec<(MarketUpdate, Trade)>,
    filling: bool,
}

#[derive(Deserialize)]
struct Row {
    a: i64,
    p: Price,
    q: Qty,
    #[serde(rename = "T")]
    time: i64,
    m: bool,
}

impl Trades {
    pub fn new(symbols: usize) -> Trades {
        Trades { tracks: vec![Track::default(); symbols] }
    }

    /// A trade of the stream.
    #[inline]
    pub fn heard(&mut self, line: &mut Line, name: &str, update: MarketUpdate, trade: Trade) {
        let symbol = update.symbol;
        let track = &mut self.tracks[symbol.index()];
        if track.filling {
            track.held.push((update, trade));
            if track.held.len() > MOST_HELD {
                track.filling = false;
                self.release(line, symbol);
            }
            return;
        }
        match track.last {
            Some(last) if trade.id <= last => return,
            Some(last) if trade.id > last + 1 && trade.id - last <= MOST_MISSING => {
                track.filling = true;
                track.held.push((update, trade));
                let query =
                    Query::new().with("symbol", name).with("fromId", last + 1).with("limit", trade.id - last - 1);
                let call = Call::get(Purpose::MarketTrades(symbol), "/fapi/v1/aggTrades", query, 20);
                return line.call(call.asks_again(1));
            }
            _ => {}
        }
        track.last = Some(trade.id);
        line.market(update);
    }

    /// What was missing came, or will not come.
    pub fn fetched(&mut self, line: &mut Line, symbol: SymbolId, answer: &Answer) {
        let track = &mut self.tracks[symbol.index()];
        if !std::mem::take(&mut track.filling) {
            return;
        }
        let rows = match answer {
            Answer::Accepted(body) => serde_json::from_slice::<Vec<Row>>(body).unwrap_or_default(),
            Answer::Refused(_) | Answer::Unknown(_) => Vec::new(),
        };
        let missing = rows.into_iter().map(|row| {
            let trade = Trade { id: row.a, price: row.p, qty: row.q, is_buyer_maker: row.m };
            (MarketUpdate { at: millis(row.time), symbol, data: MarketData::Trade(trade) }, trade)
        });
        track.held.splice(0..0, missing);
        self.release(line, symbol);
    }

    fn release(&mut self, line: &mut Line, symbol: SymbolId) {
        let track = &mut self.tracks[symbol.index()];
        for (update, trade) in std::mem::take(&mut track.held) {
            if track.last.is_none_or(|last| trade.id > last) {
                track.last = Some(trade.id);
                line.market(update);
            }
        }
    }
}
