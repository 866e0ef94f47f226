//! Parameters as JSON values, with a bound on how many: a body of two bytes per number must not
//! become a tree of seventy per number.

use super::reading::Reading;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Most JSON values (numbers, texts, lists, objects) that the parameters of a request may hold.
pub const PARAM_VALUES_MAX: usize = 100_000;

/// A JSON value of the parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param<'r>(pub(super) &'r Reading);

impl Param<'_> {
    fn kept<E: Error>(self, value: Value) -> Result<Value, E> {
        if self.0.take_value() {
            Ok(value)
        } else {
            Err(E::custom(format!("more than {PARAM_VALUES_MAX} values in the parameters")))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Param<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Param<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.kept(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.kept(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.kept(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.kept(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is none"))?;
        self.kept(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.kept(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.kept(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let next = seq.next_element_seed(self);
            match self.0.within(next, || format!("[{}]", values.len()))? {
                Some(value) => values.push(value),
                None => return self.kept(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = self.0.within(map.next_value_seed(self), || key.clone())?;
            values.insert(key, value);
        }
        self.kept(Value::Object(values))
    }
}
