//! Whole numbers that came with a point.

use serde_json::Value;

/// Turns `20.0` into `20` everywhere in a value: to JSON Schema, and to languages with one kind of number, they are the same.
pub(crate) fn whole_numbers(value: &mut Value) {
    /// Above it, not every whole number is exact.
    const EXACT: f64 = 9_007_199_254_740_991.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT);
            if let Some(whole) = whole {
                #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
                let whole = whole as i64;
                *value = whole.into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::whole_numbers;
    use serde_json::json;

    #[test]
    fn only_whole_numbers_lose_their_point() {
        let mut value = json!({"a": 20.0, "b": [-1.0, 0.5, 1e300], "c": {"d": 7}, "e": "1.0"});
        whole_numbers(&mut value);
        assert_eq!(value.to_string(), r#"{"a":20,"b":[-1,0.5,1e+300],"c":{"d":7},"e":"1.0"}"#);
    }
}
