//! Borrowed JSON against `serde_json::Value`: the same is read, the same is refused, with the same words.

use std::collections::BTreeSet;

use alphaengine_core::json::Json;
use proptest::prelude::*;
use serde_json::Value;

fn is_same(value: &Value, json: &Json<'_>) -> bool {
    match (value, json) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(one), Json::Bool(other)) => one == other,
        (Value::Number(one), Json::Number(other)) => one == other && one.to_string() == other.to_string(),
        (Value::String(one), Json::Text(other)) => one == other,
        (Value::Array(one), Json::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Json::Object(other)) => {
            let names: BTreeSet<&str> = other.names().collect();
            names == one.keys().map(String::as_str).collect()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|it| is_same(value, it)))
        }
        _ => false,
    }
}

fn check(bytes: &[u8]) {
    let shown = String::from_utf8_lossy(bytes);
    match (serde_json::from_slice::<Value>(bytes), Json::read(bytes)) {
        (Ok(value), Ok(json)) => {
            assert!(is_same(&value, &json), "{shown}: {value:?} and {json:?}");
            let again = serde_json::from_str::<Value>(&json.to_string());
            assert_eq!(again.ok(), Some(value), "{shown} written");
        }
        (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string(), "{shown}"),
        (one, other) => panic!("{shown}: {one:?} and {other:?}"),
    }
}

/// A value as text, with numbers and names that are easily got wrong.
fn text() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["\"e\"", "\"i\"", "\"\"", r#""\u0065""#, r#""a\"b\\""#, "\"ü\""]);
    let leaves = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1",
        "0.0",
        "1.50",
        "0.00012345",
        "1e-8",
        "-12.5E+3",
        "1e400",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "0.1234567890123456789",
        r#""""#,
        r#""0.00012345""#,
        r#""\n\u00fc\ud83d\ude00\/""#,
        r#""\ud800""#,
        r#""\x""#,
        "\"€ 😀\"",
        "01",
        "nul",
    ]);
    leaves.prop_map(str::to_owned).prop_recursive(4, 40, 6, move |inner| {
        let field = (names.clone(), inner.clone()).prop_map(|(name, value)| format!("{name}: {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|list| format!("[{}]", list.join(", "))),
            prop::collection::vec(field, 0..6).prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_serde_json_reads(text in text()) {
        check(text.as_bytes());
    }

    #[test]
    fn refuses_what_serde_json_refuses(
        text in text(), place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = text.into_bytes();
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] = byte;
        }
        check(&bytes);
    }
}

#[test]
fn strange_texts_are_read_alike() {
    for bytes in
        [&b""[..], b" ", b"{}", b"[] ", b"{} x", b"\"\xff\"", b"{\"\xc3\": 1}", b"{\"a\":1,}", b"\xef\xbb\xbf{}"]
    {
        check(bytes);
    }
    for depth in [126, 127, 128, 129, 100_000] {
        check("[".repeat(depth).as_bytes());
        check(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).as_bytes());
        check(format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth)).as_bytes());
    }
}

#[test]
fn texts_without_escapes_are_borrowed() {
    let bytes = br#"{"plain": "text", "escaped": "a\nb"}"#;
    let json = Json::read(bytes).unwrap();
    let text = json.get("plain").and_then(Json::as_str).unwrap();
    assert!(bytes.as_ptr_range().contains(&text.as_ptr()));
    assert_eq!(json.get("escaped").and_then(Json::as_str), Some("a\nb"));
}

#[test]
fn of_a_name_that_stands_twice_the_last_counts() {
    let json = Json::read(br#"{"a": 1, "b": 2, "a": 3}"#).unwrap();
    assert_eq!(json.get("a").and_then(Json::as_u64), Some(3));
    assert_eq!(json.as_object().unwrap().names().collect::<Vec<_>>(), ["a", "b", "a"]);
}
