//! The families of faults, F1 to F46: a situation each, and who draws it.

use super::hand::Hand;
use super::{disk, exchange, process, requests, streams};

/// Families that belong together, and the name by which they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Requests and their answers on the way.
    Wire,
    /// What the exchange says and does.
    Exchange,
    Streams,
    Disk,
    Process,
}

impl Group {
    pub const ALL: [Group; 5] = [Group::Wire, Group::Exchange, Group::Streams, Group::Disk, Group::Process];

    pub const fn name(self) -> &'static str {
        match self {
            Group::Wire => "wire",
            Group::Exchange => "exchange",
            Group::Streams => "streams",
            Group::Disk => "disk",
            Group::Process => "process",
        }
    }
}

/// One kind of situation.
#[derive(Debug)]
pub struct Family {
    /// `F4`.
    pub code: &'static str,
    pub group: Group,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// Adds the entries of one situation; `None` where a plan cannot make it.
    pub(super) draw: Option<fn(&mut Hand<'_>)>,
}

impl Family {
    /// Whether a seed can draw it. The others are not a matter of a plan, and say so.
    pub fn is_drawn(&self) -> bool {
        self.draw.is_some()
    }
}

/// All of them, in the order of their numbers.
pub fn families() -> &'static [Family] {
    FAMILIES
}

const fn family(code: &'static str, group: Group, draw: fn(&mut Hand<'_>), about: &'static str) -> Family {
    Family { code, group, about, draw: Some(draw) }
}

use Group::{Disk, Exchange, Process, Streams, Wire};

static FAMILIES: &[Family] = &[
    family("F1", Wire, requests::lost, "A request is lost before the exchange."),
    family("F2", Wire, requests::answer_lost, "A request is carried out and its answer is lost."),
    family(
        "F3",
        Wire,
        requests::answer_after_fill,
        "The answer to an order is lost, and the stream tells its fill before a query does.",
    ),
    family(
        "F4",
        Wire,
        requests::answer_lost_and_crash,
        "The answer to an order is lost and the process dies before the fill is written.",
    ),
    family("F5", Wire, requests::late, "A request arrives late, after a query said that the order does not exist."),
    family("F6", Wire, requests::broken_body, "An answer begins well and is cut short, stalls, or comes drop by drop."),
    family(
        "F7",
        Wire,
        requests::outcome_unknown,
        "503, -1006 or -1007: nobody says whether the order was carried out.",
    ),
    family("F8", Wire, requests::failed, "-1008, another 503 or a gateway's page: the order was not carried out."),
    family("F9", Exchange, exchange::throttled, "429 with Retry-After while orders and cancels are waiting."),
    family("F10", Exchange, exchange::banned, "418: no request is answered for a while, whatever is open."),
    family("F11", Wire, requests::weight_headers, "The headers that tell the used weight are missing, old or jump."),
    family("F12", Exchange, exchange::clock, "The exchange's clock is off, drifts, or steps back."),
    family("F13", Wire, requests::redirected, "An order is answered with a redirect, which must not be followed."),
    family(
        "F14",
        Wire,
        requests::duplicate_name,
        "An order arrives twice and the answer is that of the second: its name is taken.",
    ),
    family("F15", Wire, requests::cancel_too_late, "A cancel meets an order that is over: unknown order."),
    family(
        "F16",
        Wire,
        requests::cancel_unanswered,
        "A cancel is not answered, and the order fills while it is on its way.",
    ),
    family(
        "F17",
        Exchange,
        exchange::post_only_refused,
        "A post-only order is refused and leaves neither record nor event.",
    ),
    family(
        "F18",
        Exchange,
        exchange::liquidated,
        "Money leaves the account, the position is liquidated, and what would have reduced it is refused.",
    ),
    family(
        "F19",
        Exchange,
        exchange::wrong_endpoint,
        "Orders are refused because they belong to another endpoint now.",
    ),
    family("F20", Exchange, exchange::filters, "Tick and step of a contract become coarser at run time."),
    family("F21", Exchange, exchange::replica_lags, "Queries are answered by a replica that is behind."),
    family("F22", Exchange, exchange::batch_in_part, "Of orders that are sent together a part is refused."),
    family("F23", Streams, streams::key_dies, "The listen key dies; its socket stays open and is silent."),
    family("F24", Streams, streams::keepalive_refused, "The listen key cannot be extended: it does not exist."),
    family("F25", Streams, streams::closed_in_flight, "The private stream ends while an order is on its way."),
    family("F26", Streams, streams::half_open, "A connection is half open: no data and no end."),
    family("F27", Streams, streams::lost_or_twice, "An event is lost, or told twice."),
    family("F28", Streams, streams::reordered, "Events change their order, within a connection or between two."),
    family("F29", Streams, streams::fill_first, "The fill is told before the order is acknowledged, or long after."),
    family("F30", Streams, streams::book_gap, "Changes of the book are missing, or its snapshot is old."),
    family(
        "F31",
        Streams,
        streams::unknown_words,
        "The exchange says what nobody knows: fields, events, values, names that are not ASCII.",
    ),
    family("F32", Streams, streams::reconnect_storm, "All connections end again and again, and new ones are refused."),
    family("F33", Streams, streams::slow_consumer, "What a stream tells comes later and later."),
    Family {
        code: "F34",
        group: Streams,
        draw: None,
        about: "A stream is asked for on the wrong route and is silent. A setting of the exchange (strict routes), not of a plan.",
    },
    family("F35", Disk, disk::busy, "Somebody else holds the lock of the store."),
    family("F36", Disk, disk::full, "The disk is full for a while."),
    family("F37", Disk, disk::io_error, "Reads, writes or syncs fail; a failed sync drops what it was to keep."),
    family("F38", Disk, disk::errs_but_durable, "A commit reports an error and is durable nevertheless."),
    family(
        "F39",
        Disk,
        disk::power_loss,
        "Power is lost: what was not synced stands in part, or a disk lied about its syncs.",
    ),
    family("F40", Disk, disk::bit_flip, "A bit of the store is another one."),
    family("F41", Disk, disk::stuck_reader, "A reader keeps the write-ahead log from being folded in."),
    family(
        "F42",
        Process,
        process::crash,
        "The process dies at any operation of the disk or any step, and again while it recovers.",
    ),
    family("F43", Process, process::second_instance, "A second process opens the same store."),
    family("F44", Process, process::old_or_damaged_store, "The store comes back old, cut short or without a file."),
    family(
        "F45",
        Process,
        process::moved_while_away,
        "While the process is away, somebody trades on the account or moves its money.",
    ),
    Family {
        code: "F46",
        group: Disk,
        draw: None,
        about: "The disk is full for log files. They are not of this world: a run writes none.",
    },
];

/// Reads `all`, codes and names of groups, separated by commas. `all` and groups are of the families that can be drawn.
///
/// # Errors
/// A sentence about the first name that is none, with the nearest one that is.
pub fn parse_families(list: &str) -> Result<Vec<&'static str>, String> {
    let mut wanted = vec![false; FAMILIES.len()];
    for name in list.split(',').map(str::trim) {
        let lower = name.to_lowercase();
        let is_asked = |family: &Family| lower == "all" || family.group.name() == lower;
        let mut is_known = false;
        for (family, wanted) in FAMILIES.iter().zip(&mut wanted) {
            if family.code.eq_ignore_ascii_case(name) {
                if family.draw.is_none() {
                    return Err(format!("{} cannot be drawn. {}", family.code, family.about));
                }
                (*wanted, is_known) = (true, true);
            } else if is_asked(family) {
                is_known = true;
                *wanted |= family.draw.is_some();
            }
        }
        if !is_known {
            let known = FAMILIES.iter().map(|family| family.code).chain(Group::ALL.map(Group::name)).chain(["all"]);
            let nearest = known.min_by_key(|known| distance(&lower, &known.to_lowercase())).unwrap_or("all");
            return Err(format!(
                "`{name}` is no family of faults: did you mean `{nearest}`? There are `all`, F1 to F45 without F34, wire, exchange, \
                 streams, disk and process"
            ));
        }
    }
    Ok(FAMILIES.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(family, _)| family.code).collect())
}

/// How many letters are to be put in, left out or replaced.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut corner = above;
        row[0] = above + 1;
        for (index, with) in other.iter().enumerate() {
            let replaced = corner + usize::from(letter != *with);
            corner = row[index + 1];
            row[index + 1] = replaced.min(corner + 1).min(row[index] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_are_f1_to_f46_each_with_its_sentence() {
        for (index, family) in families().iter().enumerate() {
            assert_eq!(family.code, format!("F{}", index + 1));
            assert!(family.about.ends_with('.') && family.about.len() > 20, "{family:?}");
        }
        assert_eq!(families().len(), 46);
    }

    #[test]
    fn lists_name_families_groups_or_all() {
        assert_eq!(parse_families("F7, f1,F7").unwrap(), ["F1", "F7"]);
        assert_eq!(parse_families("all").unwrap().len(), 44);
        let of = |group: &str| parse_families(group).unwrap();
        assert_eq!(of("disk"), ["F35", "F36", "F37", "F38", "F39", "F40", "F41"]);
        assert_eq!(of("process,F1"), ["F1", "F42", "F43", "F44", "F45"]);
        let grouped: usize = Group::ALL.iter().map(|group| of(group.name()).len()).sum();
        assert_eq!(grouped, 44);
    }

    #[test]
    fn what_is_no_family_is_told_with_the_nearest_that_is() {
        for (list, part) in [
            ("F99", "`F99` is no family"),
            ("F1,stream", "did you mean `streams`?"),
            ("proces", "did you mean `process`?"),
            ("", "is no family"),
            ("F34", "F34 cannot be drawn. A stream is asked for"),
            ("F46", "log files"),
        ] {
            let error = parse_families(list).unwrap_err();
            assert!(error.contains(part), "{list}: {error}");
        }
    }
}
