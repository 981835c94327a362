//! The life of an order as one table of (status, update).

use alphaengine_core::order::OrderChange as Change;
use alphaengine_core::order::OrderStatus as Status;
use alphaengine_core::order::{IllegalChange, OrderChange, OrderStatus};

const STATUSES: [OrderStatus; 9] = [
    Status::Requested,
    Status::Unknown,
    Status::New,
    Status::PartiallyFilled,
    Status::Triggered,
    Status::Filled,
    Status::Canceled,
    Status::Expired,
    Status::Rejected,
];

const CHANGES: [(&str, OrderChange); 9] = [
    ("PLACED", Change::Placed),
    ("UNKNOWN", Change::OutcomeUnknown),
    ("REJECTED", Change::Rejected),
    ("TRIGGERED", Change::Triggered),
    ("PART", Change::Traded { complete: false }),
    ("FULL", Change::Traded { complete: true }),
    ("AMENDED", Change::Amended),
    ("CANCELED", Change::Canceled),
    ("EXPIRED", Change::Expired),
];

/// Rows are statuses, columns are updates, `.` is an illegal update.
const LIFE: &str = "
                 PLACED           UNKNOWN          REJECTED         TRIGGERED        PART             FULL             AMENDED          CANCELED         EXPIRED
REQUESTED        NEW              UNKNOWN          REJECTED         TRIGGERED        PARTIALLY_FILLED FILLED           NEW              CANCELED         EXPIRED
UNKNOWN          NEW              .                REJECTED         TRIGGERED        PARTIALLY_FILLED FILLED           NEW              CANCELED         EXPIRED
NEW              NEW              .                REJECTED         TRIGGERED        PARTIALLY_FILLED FILLED           NEW              CANCELED         EXPIRED
PARTIALLY_FILLED PARTIALLY_FILLED .                .                PARTIALLY_FILLED PARTIALLY_FILLED FILLED           PARTIALLY_FILLED CANCELED         EXPIRED
TRIGGERED        TRIGGERED        .                REJECTED         TRIGGERED        PARTIALLY_FILLED FILLED           TRIGGERED        CANCELED         EXPIRED
FILLED           .                .                .                .                .                .                .                .                .
CANCELED         .                .                .                .                .                .                .                .                .
EXPIRED          .                .                .                .                .                .                .                .                .
REJECTED         .                .                .                .                .                .                .                .                .";

#[test]
fn every_status_meets_every_update() {
    let mut table = format!("\n{:<17}", "");
    CHANGES.iter().for_each(|(name, _)| table += &format!("{name:<17}"));
    for status in STATUSES {
        table = table.trim_end().to_owned() + "\n" + &format!("{:<17}", status.name());
        for (_, change) in CHANGES {
            table += &format!("{:<17}", status.after(change).map_or(".", OrderStatus::name));
        }
    }
    assert_eq!(table.trim_end(), LIFE);
}

#[test]
fn an_end_is_final_and_every_order_can_end() {
    for status in STATUSES {
        let next: Vec<OrderStatus> = CHANGES.iter().filter_map(|(_, change)| status.after(*change).ok()).collect();
        assert_eq!(status.is_terminal(), next.is_empty(), "{status:?}");
        assert!(status.is_terminal() || next.iter().any(|next| next.is_terminal()), "{status:?} never ends");
    }
}

#[test]
fn an_illegal_update_says_what_met_what() {
    let illegal = Status::Filled.after(Change::Canceled);
    assert_eq!(illegal, Err(IllegalChange { status: Status::Filled, change: Change::Canceled }));
    assert_eq!(
        illegal.map_err(|error| error.to_string()),
        Err("an order that is FILLED cannot be Canceled".to_owned())
    );
}
