//! Writing a document as people best read it: the properties of each object in the order of
//! the tables, what is not known after them, dictionaries as their author ordered them.

use serde_json::{Map, Value};

use crate::Document;
use crate::shape::{Family, Object, PLAYBOOK, Property, Shape};

impl Document {
    /// The document in its usual order, indented by two spaces, with a line end at its end.
    /// The JSON value stays the same, and with it every signature.
    pub fn to_text(&self) -> String {
        let ordered = object(self.value(), &[&PLAYBOOK]);
        let mut text = serde_json::to_string_pretty(&ordered).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn object(value: &Value, tables: &[&Object]) -> Value {
    let Some(members) = value.as_object() else {
        return value.clone();
    };
    let properties = || tables.iter().flat_map(|table| table.properties);
    let known = properties().filter_map(|property| {
        let value = members.get(property.name)?;
        Some((property.name.to_owned(), shape(value, &property.shape)))
    });
    let is_known = |name: &str| properties().any(|property: &Property| property.name == name);
    let others = members.iter().filter(|(name, _)| !is_known(name));
    let others = others.map(|(name, value)| (name.clone(), value.clone()));
    known.chain(others).collect::<Map<_, _>>().into()
}

fn family(value: &Value, family: &Family) -> Value {
    let kind = value.get("type").and_then(Value::as_str);
    match kind.and_then(|kind| family.own(kind)) {
        Some(own) => object(value, &[family.common, own]),
        None => object(value, &[family.common]),
    }
}

fn shape(value: &Value, of: &Shape) -> Value {
    match (of, value) {
        (Shape::Object(table), value) => object(value, &[table]),
        (Shape::Typed(of), value) => family(value, of),
        (Shape::List(_, of), Value::Array(items)) => {
            items.iter().map(|item| shape(item, of)).collect()
        }
        (Shape::Dictionary(_, _, of), Value::Object(members)) => {
            let ordered = members
                .iter()
                .map(|(name, value)| (name.clone(), shape(value, of)));
            ordered.collect::<Map<_, _>>().into()
        }
        (_, value) => value.clone(),
    }
}
