//! JSON on its way out: objects and lists become text as they are said, without a tree in between. What comes in is read with
//! `serde_json`.

use std::fmt::Write as _;

use serde_json::Value;

/// Room for the object of an order.
const USUAL: usize = 640;

/// A text that is JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonText(String);

impl JsonText {
    pub fn of<T: Written + ?Sized>(value: &T) -> JsonText {
        let mut text = String::new();
        value.write(&mut text);
        JsonText(text)
    }

    pub fn null() -> JsonText {
        JsonText("null".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }

    /// Adds the fields of another object, of other names.
    pub fn append(&mut self, more: &JsonText) {
        let (Some(fields), Some(more)) = (self.0.strip_suffix('}'), more.0.strip_prefix('{')) else {
            debug_assert!(false, "only objects have fields: {} and {}", self.0, more.0);
            return;
        };
        let is_first = fields == "{" || more == "}";
        self.0.truncate(fields.len());
        if !is_first {
            self.0.push(',');
        }
        self.0.push_str(more);
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> JsonText {
        JsonText(value.to_string())
    }
}

/// A list.
impl FromIterator<JsonText> for JsonText {
    fn from_iter<I: IntoIterator<Item = JsonText>>(elements: I) -> JsonText {
        let mut list = Composer::list();
        elements.into_iter().for_each(|element| list.element(&element));
        list.end()
    }
}

/// An object or a list that is being written.
pub(super) struct Composer {
    text: String,
    is_empty: bool,
    end: char,
}

impl Composer {
    pub fn object() -> Composer {
        Composer::begin('{', '}')
    }

    pub fn list() -> Composer {
        Composer::begin('[', ']')
    }

    fn begin(begin: char, end: char) -> Composer {
        let mut text = String::with_capacity(USUAL);
        text.push(begin);
        Composer { text, is_empty: true, end }
    }

    /// A field of an object. Its name needs no escapes.
    pub fn field<T: Written + ?Sized>(&mut self, name: &str, value: &T) {
        self.separate();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
        value.write(&mut self.text);
    }

    pub fn element<T: Written + ?Sized>(&mut self, value: &T) {
        self.separate();
        value.write(&mut self.text);
    }

    pub fn end(mut self) -> JsonText {
        self.text.push(self.end);
        JsonText(self.text)
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.text.push(',');
        }
    }
}

/// What has a form in JSON.
pub(super) trait Written {
    fn write(&self, text: &mut String);
}

impl Written for str {
    fn write(&self, text: &mut String) {
        let is_plain = self.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
        if is_plain {
            text.push('"');
            text.push_str(self);
            text.push('"');
        } else {
            text.push_str(&Value::from(self).to_string());
        }
    }
}

impl Written for String {
    fn write(&self, text: &mut String) {
        self.as_str().write(text);
    }
}

impl Written for bool {
    fn write(&self, text: &mut String) {
        text.push_str(if *self { "true" } else { "false" });
    }
}

impl Written for JsonText {
    fn write(&self, text: &mut String) {
        text.push_str(&self.0);
    }
}

impl Written for Value {
    fn write(&self, text: &mut String) {
        text.push_str(&self.to_string());
    }
}

/// `null` where there is nothing.
impl<T: Written> Written for Option<T> {
    fn write(&self, text: &mut String) {
        match self {
            Some(value) => value.write(text),
            None => text.push_str("null"),
        }
    }
}

impl<T: Written + ?Sized> Written for &T {
    fn write(&self, text: &mut String) {
        (**self).write(text);
    }
}

impl<T: Written> Written for [T] {
    fn write(&self, text: &mut String) {
        let mut list = Composer::list();
        self.iter().for_each(|element| list.element(element));
        text.push_str(list.end().as_str());
    }
}

impl<T: Written> Written for Vec<T> {
    fn write(&self, text: &mut String) {
        self.as_slice().write(text);
    }
}

macro_rules! written_as_shown {
    ($($kind:ty),*) => {$(
        impl Written for $kind {
            fn write(&self, text: &mut String) {
                let _ = write!(text, "{self}");
            }
        }
    )*};
}
written_as_shown!(u8, u16, u32, u64, usize, i32, i64);

/// Writes an object, a list or a value: as `serde_json::json!`, but at once as text.
macro_rules! json {
    (@fields $object:ident) => {};
    (@fields $object:ident $name:literal : null $(, $($rest:tt)*)?) => {
        $object.field($name, &serde_json::Value::Null);
        json!(@fields $object $($($rest)*)?);
    };
    (@fields $object:ident $name:literal : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $object.field($name, &json!({ $($inner)* }));
        json!(@fields $object $($($rest)*)?);
    };
    (@fields $object:ident $name:literal : [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $object.field($name, &json!([ $($inner)* ]));
        json!(@fields $object $($($rest)*)?);
    };
    (@fields $object:ident $name:literal : $value:expr $(, $($rest:tt)*)?) => {
        $object.field($name, &$value);
        json!(@fields $object $($($rest)*)?);
    };
    (@elements $list:ident) => {};
    (@elements $list:ident { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $list.element(&json!({ $($inner)* }));
        json!(@elements $list $($($rest)*)?);
    };
    (@elements $list:ident $value:expr $(, $($rest:tt)*)?) => {
        $list.element(&$value);
        json!(@elements $list $($($rest)*)?);
    };
    ({}) => { $crate::gateway::json::Composer::object().end() };
    ([]) => { $crate::gateway::json::Composer::list().end() };
    ({ $($fields:tt)* }) => {{
        let mut object = $crate::gateway::json::Composer::object();
        json!(@fields object $($fields)*);
        object.end()
    }};
    ([ $($elements:tt)* ]) => {{
        let mut list = $crate::gateway::json::Composer::list();
        json!(@elements list $($elements)*);
        list.end()
    }};
    ($value:expr) => { $crate::gateway::json::JsonText::of(&$value) };
}
pub(super) use json;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_what_was_meant() {
        let rows: Vec<JsonText> = (1_u64..3).map(|id| json!({"id": id})).collect();
        let written = json!({
            "text": "a \"quoted\" \\ line\n", "whole": -7, "is": true, "nothing": null, "rows": rows,
            "in": {"deep": [1, "two", {"three": 3}], "empty": {}}, "none": [], "some": ["x"],
        });
        let meant = serde_json::json!({
            "text": "a \"quoted\" \\ line\n", "whole": -7, "is": true, "nothing": null, "rows": [{"id": 1}, {"id": 2}],
            "in": {"deep": [1, "two", {"three": 3}], "empty": {}}, "none": [], "some": ["x"],
        });
        assert_eq!(written.as_str(), meant.to_string());
    }

    #[test]
    fn fields_are_appended_also_to_nothing() {
        for (first, second) in [("{}", "{}"), (r#"{"a":1}"#, "{}"), ("{}", r#"{"b":2}"#), (r#"{"a":1}"#, r#"{"b":2}"#)]
        {
            let mut object = JsonText(first.to_owned());
            object.append(&JsonText(second.to_owned()));
            let read: Value = serde_json::from_str(object.as_str()).unwrap();
            let fields = usize::from(first != "{}") + usize::from(second != "{}");
            assert_eq!(read.as_object().unwrap().len(), fields, "{}", object.as_str());
        }
    }
}
