//! The types of the wire as JSON Schemas, and what both contract files make of them.

use schemars::{
    JsonSchema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value, json};

/// The schemas that one file is made of.
pub(super) struct Schemas {
    settings: SchemaSettings,
    shared: Map<String, Value>,
}

impl Schemas {
    /// For a file whose schemas are of the dialect of `settings`.
    pub(super) fn new(settings: SchemaSettings) -> Self {
        let settings = settings.with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { settings, shared: Map::new() }
    }

    /// `T` as the server writes it: what it may leave out is not required, what may be `null` says so.
    pub(super) fn written<T: JsonSchema>(&mut self) -> Value {
        self.schema::<T>(Contract::Serialize)
    }

    /// `T` as the server reads it. Nothing that may be left out may be `null`.
    pub(super) fn taken<T: JsonSchema>(&mut self) -> Value {
        self.schema::<T>(Contract::Deserialize)
    }

    fn schema<T: JsonSchema>(&mut self, contract: Contract) -> Value {
        let mut settings = self.settings.clone();
        settings.contract = contract;
        let mut generator = SchemaGenerator::new(settings);
        let mut schema = generator.subschema_for::<T>();
        for transform in generator.transforms_mut() {
            transform.transform(&mut schema);
        }
        for (name, mut shared) in generator.take_definitions(true) {
            tidy(&mut shared);
            let known = self.shared.entry(name.clone()).or_insert_with(|| shared.clone());
            assert_eq!(*known, shared, "two schemas have the name {name}");
        }
        let mut schema = schema.to_value();
        tidy(&mut schema);
        schema
    }

    /// The schema of this name, taken out of those that are referred to.
    pub(super) fn take(&mut self, name: &str) -> Value {
        self.shared.remove(name).unwrap_or_else(|| panic!("no schema {name}"))
    }

    /// What the others refer to: `components.schemas`.
    pub(super) fn shared(self) -> Value {
        self.shared.into()
    }
}

/// Takes the variants of a tagged union apart: the `op` of each, and its schema.
pub(super) fn variants(mut union: Value) -> Vec<(String, Value)> {
    let Value::Array(variants) = union["oneOf"].take() else { panic!("no union: {union}") };
    let op = |variant: &Value| variant["properties"]["op"]["const"].as_str().unwrap().to_owned();
    variants.into_iter().map(|variant| (op(&variant), variant)).collect()
}

/// Makes a schema that was derived from Rust fit to be read by people who have never seen it.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = prose(text);
                if text.is_empty() {
                    fields.remove("description");
                }
            }
            // The sizes of integers in this server are nothing that a client should rely on.
            if fields.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                fields.remove("format");
            }
            let required = fields.get("required").cloned().unwrap_or_else(|| json!([]));
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                let is_required = |name: &str| required.as_array().is_some_and(|names| names.contains(&name.into()));
                properties
                    .iter_mut()
                    .filter(|(name, _)| !is_required(name))
                    .for_each(|(_, property)| not_null(property));
            }
            fields.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

/// What is left out is not `null`: neither is one written, nor is one taken.
fn not_null(property: &mut Value) {
    let Value::Object(fields) = property else { return };
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|word| word != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({"type": "null"}));
        if let [only] = choices.as_slice() {
            let only = only.clone();
            fields.remove("anyOf");
            fields.insert("allOf".to_owned(), json!([only]));
        }
    }
}

/// The first paragraph of a Rust comment, without its links.
fn prose(comment: &str) -> String {
    let text = comment.split("\n\n").next().unwrap_or_default().replace("[`", "`").replace("`]", "`");
    let is_pointer = text.starts_with("See `") && text.ends_with("`.");
    if is_pointer { String::new() } else { text.split_whitespace().collect::<Vec<_>>().join(" ") }
}
