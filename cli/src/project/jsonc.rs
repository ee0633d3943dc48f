//! Changes to JSON with comments.

use jsonc_parser::{
    ParseOptions,
    cst::{CstArray, CstInputValue, CstObject, CstRootNode},
};

use super::document::Entry;

/// Reads a text as wrangler does: comments and commas at the end are allowed, and nothing else is
/// that JSON does not have.
pub fn parse(text: &str) -> Result<CstRootNode, String> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    CstRootNode::parse(text, &options).map_err(|error| error.to_string())
}

/// See [`super::document::Document::set`]; nothing when there is no such entry.
pub fn set(
    root: &CstRootNode,
    path: &[&str],
    binding: &str,
    key: &str,
    new: Option<&str>,
) -> Option<()> {
    let (list, tables) = path.split_last()?;
    let mut table = root.object_value()?;
    for name in tables {
        table = table.object_value(name)?;
    }
    let entry = entries(&table.array_value(list)?).find(|entry| {
        let name = entry.get("binding").and_then(|name| name.to_serde_value());
        name.is_some_and(|name| name == binding)
    })?;
    match (new, entry.get(key)) {
        (Some(new), Some(old)) => old.set_value(new.into()),
        (Some(new), None) => drop(entry.append(key, new.into())),
        (None, Some(old)) => old.remove(),
        (None, None) => {}
    }
    Some(())
}

/// See [`super::document::Document::push`]; nothing when something else is there.
pub fn push(root: &CstRootNode, path: &[&str], entry: &[(&str, Entry<'_>)]) -> Option<()> {
    let (list, tables) = path.split_last()?;
    let mut table = root.object_value()?;
    for name in tables {
        table = table.object_value_or_create(name)?;
    }
    let list = table.array_value_or_create(list)?;
    let entry = entry
        .iter()
        .map(|(key, new)| ((*key).to_owned(), written(new)));
    list.append(CstInputValue::Object(entry.collect()));
    Some(())
}

fn entries(list: &CstArray) -> impl Iterator<Item = CstObject> {
    let elements = list.elements().into_iter();
    elements.filter_map(|element| element.as_object())
}

fn written(entry: &Entry<'_>) -> CstInputValue {
    match entry {
        Entry::Text(text) => (*text).into(),
        Entry::Texts(texts) => {
            CstInputValue::Array(texts.iter().map(|text| (*text).into()).collect())
        }
    }
}
