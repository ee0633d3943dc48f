//! Changes to TOML.

use toml_edit::{
    Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value,
};

use super::document::Entry;

/// See [`super::document::Document::set`]; nothing when there is no such entry.
pub fn set(
    document: &mut DocumentMut,
    path: &[&str],
    binding: &str,
    key: &str,
    new: Option<&str>,
) -> Option<()> {
    let mut item = document.as_item_mut();
    for name in path {
        item = item.as_table_like_mut()?.get_mut(name)?;
    }
    let named = |entry: &dyn TableLike| {
        let name = entry.get("binding").and_then(|name| name.as_str());
        name == Some(binding)
    };
    match item {
        Item::ArrayOfTables(tables) => {
            let entry = tables.iter_mut().find(|entry| named(*entry))?;
            put(entry, key, new);
        }
        Item::Value(Value::Array(array)) => {
            let mut tables = array.iter_mut().filter_map(Value::as_inline_table_mut);
            let entry = tables.find(|entry| named(*entry))?;
            put(entry, key, new);
            // Only here: in a table of its own that would remove comments.
            entry.fmt();
        }
        _ => return None,
    }
    Some(())
}

fn put(entry: &mut dyn TableLike, key: &str, new: Option<&str>) {
    match (new, entry.get_mut(key).and_then(Item::as_value_mut)) {
        (Some(new), Some(old)) => {
            let decor = old.decor().clone();
            *old = new.into();
            *old.decor_mut() = decor;
        }
        (Some(new), None) => {
            entry.insert(key, value(new));
        }
        (None, _) => {
            entry.remove(key);
        }
    }
}

/// See [`super::document::Document::push`]; nothing when something else is there.
pub fn push(
    document: &mut DocumentMut,
    path: &[&str],
    entry: &[(&str, Entry<'_>)],
    comment: Option<&str>,
) -> Option<()> {
    let (list, tables) = path.split_last()?;
    let mut table = document.as_item_mut();
    for name in tables {
        let entry = table.as_table_like_mut()?.entry(name);
        table = entry.or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
    }
    let list = table.as_table_like_mut()?.entry(list);
    let list = list.or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let entry = entry.iter().map(|(key, new)| (*key, written(new)));
    match list {
        Item::ArrayOfTables(tables) => {
            let mut table = Table::new();
            for (key, new) in entry {
                table.insert(key, value(new));
            }
            let comment = comment.map_or(String::new(), |text| format!("# {text}\n"));
            table.decor_mut().set_prefix(format!("\n{comment}"));
            tables.push(table);
        }
        Item::Value(Value::Array(array)) => {
            let mut table = InlineTable::from_iter(entry);
            table.fmt();
            // On a line of its own, where the others are.
            let indent = array.iter().last().and_then(|last| {
                let prefix = last.decor().prefix()?.as_str()?;
                prefix.contains('\n').then(|| prefix.to_owned())
            });
            match indent {
                Some(indent) => {
                    let mut table = Value::InlineTable(table);
                    table.decor_mut().set_prefix(indent);
                    array.push_formatted(table);
                }
                None => array.push(table),
            }
        }
        _ => return None,
    }
    Some(())
}

fn written(entry: &Entry<'_>) -> Value {
    match entry {
        Entry::Text(text) => Value::from(*text),
        Entry::Texts(texts) => Value::from(Array::from_iter(texts.iter().copied())),
    }
}
