//! What the engine makes of news about the way to the exchange: what is stale blocks entries until it has been compared.

use super::{Engine, Error};
use crate::command::{Refusal, Wish};
use crate::event::{LinkChanged, Source};
use crate::link::{LinkUpdate, Route};
use crate::mode::EngineMode;
use crate::store::EventLog;
use crate::strategy::Strategy;
use crate::units::{NANOS_PER_MINUTE, Timestamp};

/// The same news within this time is one event.
const REPEATS_WITHIN: i64 = NANOS_PER_MINUTE;

/// What was heard about the way.
#[derive(Debug, Default)]
pub(super) struct LinkWatch {
    /// Routes that were up in this process.
    up: [bool; Route::ALL.len()],
    last: Option<(Timestamp, LinkUpdate)>,
    /// Market data that were left out and not told yet.
    left_out: u64,
    conflated_at: Option<Timestamp>,
}

impl<S: Strategy, L: EventLog> Engine<S, L> {
    pub(super) fn on_link(&mut self, link: &LinkUpdate) -> Result<(), Error> {
        if !self.reconciler.is_on {
            return Ok(());
        }
        match link {
            LinkUpdate::StreamUp { route } => {
                let was_down = self.state.links_down.contains(route);
                let was_up = std::mem::replace(&mut self.link.up[*route as usize], true);
                if was_up && !was_down {
                    return Ok(());
                }
                self.link_changed(link.clone())?;
                if was_down && self.reconciler.is_ready {
                    self.reconciler.is_complete = false;
                    let reason = format!("the {} streams are up again", route.name());
                    self.begin_round(Some(&reason))?;
                }
                Ok(())
            }
            LinkUpdate::StreamDown { route, .. } => {
                if self.state.links_down.contains(route) {
                    return Ok(());
                }
                self.link_changed(link.clone())?;
                self.reconciler.hurry(self.now);
                self.schedule();
                Ok(())
            }
            // What is late is not missed: it needs no comparison afterwards.
            LinkUpdate::Late { route, .. } if self.state.links_late.contains(route) => Ok(()),
            LinkUpdate::OnTime { route } if !self.state.links_late.contains(route) => Ok(()),
            LinkUpdate::Late { .. } | LinkUpdate::OnTime { .. } => self.link_changed(link.clone()),
            LinkUpdate::Conflated { left_out } => {
                self.link.left_out = self.link.left_out.saturating_add(*left_out);
                let is_new = self.link.conflated_at.is_none_or(|at| self.now.since(at) >= NANOS_PER_MINUTE);
                if !is_new {
                    return Ok(());
                }
                self.link.conflated_at = Some(self.now);
                let left_out = std::mem::take(&mut self.link.left_out);
                self.link_changed(LinkUpdate::Conflated { left_out })
            }
            LinkUpdate::AccessLost { code, message } => {
                self.tell_link_once(link)?;
                if self.state.mode == EngineMode::Booting {
                    return Ok(());
                }
                self.change_mode(EngineMode::Safe, &format!("the exchange refuses access: {code} {message}"))
            }
            _ => self.tell_link_once(link),
        }
    }

    fn tell_link_once(&mut self, link: &LinkUpdate) -> Result<(), Error> {
        let is_told = |(at, last): &(Timestamp, LinkUpdate)| last == link && self.now.since(*at) < REPEATS_WITHIN;
        if self.link.last.as_ref().is_some_and(is_told) {
            return Ok(());
        }
        self.link_changed(link.clone())
    }

    fn link_changed(&mut self, link: LinkUpdate) -> Result<(), Error> {
        self.link.last = Some((self.now, link.clone()));
        self.record(Source::Bot, None, None, LinkChanged { link })
    }

    /// Why nothing may open now, whatever the limits say. Cancels and closes always pass.
    pub(super) fn entries_blocked(&self, wish: &Wish) -> Option<Refusal> {
        let opens = match wish {
            Wish::Place(spec) => !spec.only_reduces(),
            Wish::Modify { client_order_id, .. } => {
                self.state.orders.get(client_order_id).is_some_and(|order| !order.spec.only_reduces())
            }
            _ => false,
        };
        if !opens {
            return None;
        }
        if self.stop.is_some() {
            return Some(Refusal::Stopping);
        }
        if let Some(route) = self.state.links_down.first() {
            return Some(Refusal::StaleStreams { route: *route });
        }
        if let Some(route) = self.state.links_late.first() {
            return Some(Refusal::LateStreams { route: *route });
        }
        (!self.reconciler.is_complete).then_some(Refusal::NotReconciled)
    }
}
