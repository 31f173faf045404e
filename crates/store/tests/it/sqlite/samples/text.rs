//! A database as SQL text, one row a line.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

pub(super) fn dump(connection: &Connection) -> Result<String> {
    let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut lines = vec![
        "PRAGMA page_size = 8192".to_owned(),
        "PRAGMA journal_mode = WAL".to_owned(),
        format!("PRAGMA user_version = {format}"),
        "BEGIN".to_owned(),
    ];
    let tables = schema(connection, "table")?;
    lines.extend(tables.iter().map(|(_, sql)| sql.clone()));
    for (table, _) in &tables {
        rows(connection, table, &mut lines)?;
    }
    let indexes = schema(connection, "index")?;
    lines.extend(indexes.into_iter().map(|(_, sql)| sql));
    lines.push("COMMIT;\n".to_owned());
    Ok(lines.join(";\n"))
}

/// Names and statements of what the migrations made.
pub(super) fn schema(connection: &Connection, kind: &str) -> Result<Vec<(String, String)>> {
    connection
        .prepare(
            "SELECT name, sql FROM sqlite_schema
             WHERE type = ?1 AND sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY rowid",
        )?
        .query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn rows(connection: &Connection, table: &str, lines: &mut Vec<String>) -> Result<()> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let value = |index| row.get_ref(index).map(literal);
        let values: Result<Vec<String>> = (0..columns).map(value).collect();
        lines.push(format!(
            "INSERT INTO {table} VALUES ({})",
            values?.join(", ")
        ));
    }
    Ok(())
}

fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("'{}'", String::from_utf8_lossy(text).replace('\'', "''")),
        ValueRef::Blob(bytes) => {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let hex = hex.concat();
            format!("x'{hex}'")
        }
    }
}
