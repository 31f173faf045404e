//! A database as SQL text, one row a line.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

pub(super) fn dump(connection: &Connection) -> Result<String> {
    let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut text = format!(
        "PRAGMA page_size = 8192;\nPRAGMA journal_mode = WAL;\nPRAGMA user_version = {format};\nBEGIN;\n"
    );
    let schema = |kind: &str| -> Result<Vec<(String, String)>> {
        connection
            .prepare(
                "SELECT name, sql FROM sqlite_schema
                 WHERE type = ?1 AND sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY rowid",
            )?
            .query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    let tables = schema("table")?;
    for (_, sql) in &tables {
        text += &format!("{sql};\n");
    }
    for (table, _) in &tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let values: Result<Vec<String>> = (0..columns)
                .map(|index| Ok(literal(row.get_ref(index)?)))
                .collect();
            text += &format!("INSERT INTO {table} VALUES ({});\n", values?.join(", "));
        }
    }
    for (_, sql) in schema("index")? {
        text += &format!("{sql};\n");
    }
    Ok(text + "COMMIT;\n")
}

fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("'{}'", String::from_utf8_lossy(text).replace('\'', "''")),
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{hex}'")
        }
    }
}
