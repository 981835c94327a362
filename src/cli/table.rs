//! A Table is rows under a head: aligned columns for a person, an array of objects for a program.

use clap::Args;
use serde_json::{Map, Value};

/// In which form a verb prints its result.
#[derive(Args, Debug, Clone, Copy)]
pub struct Form {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

impl Form {
    /// The table as text in this form.
    pub fn show(self, table: &Table) -> String {
        if self.json { json_text(&table.to_json()) } else { table.to_text() }
    }
}

/// A value on lines of its own.
pub fn json_text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Rows of cells.
#[derive(Debug)]
pub struct Table {
    head: &'static [&'static str],
    /// Which columns are numbers.
    right: &'static [bool],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &'static [&'static str], right: &'static [bool], rows: Vec<Vec<String>>) -> Table {
        Table { head, right, rows }
    }

    /// Aligned columns under the head.
    pub fn to_text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row.get(column).map_or(0, |cell| cell.chars().count()));
            cells.chain([self.head[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for (column, cell) in cells.enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                let width = widths[column];
                text +=
                    &if self.right[column] { format!("{gap}{cell:>width$}") } else { format!("{gap}{cell:<width$}") };
            }
            text.trim_end().to_owned() + "\n"
        };
        let mut text = line(&mut self.head.iter().copied());
        for row in &self.rows {
            text += &line(&mut row.iter().map(String::as_str));
        }
        text
    }

    /// An object a row, named by the head in small letters. Counts are numbers, everything else is text; an empty cell is null.
    pub fn to_json(&self) -> Value {
        let object = |row: &Vec<String>| {
            let cells = self.head.iter().zip(self.right).zip(row);
            let fields = cells.map(|((name, is_number), cell)| {
                let count = is_number.then(|| cell.parse::<u64>().ok()).flatten();
                let text = || if cell.is_empty() { Value::Null } else { Value::String(cell.clone()) };
                (name.to_lowercase().replace(' ', "_"), count.map_or_else(text, Value::from))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Table;

    #[test]
    fn a_table_is_the_same_in_both_forms() {
        let rows = [["BTCUSDT", "3", ""], ["ETHUSDT", "1200", "2025-01"]].map(|row| row.map(str::to_owned).to_vec());
        let table = Table::new(&["SYMBOL", "ROWS", "LAST MONTH"], &[false, true, false], rows.to_vec());
        assert_eq!(table.to_text(), "SYMBOL   ROWS  LAST MONTH\nBTCUSDT     3\nETHUSDT  1200  2025-01\n");
        let expected = json!([
            {"symbol": "BTCUSDT", "rows": 3, "last_month": null},
            {"symbol": "ETHUSDT", "rows": 1200, "last_month": "2025-01"},
        ]);
        assert_eq!(table.to_json(), expected);
    }
}
