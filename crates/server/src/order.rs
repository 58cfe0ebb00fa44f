//! Reading the body of `POST /api/v1/generate`.

use std::hash::{BuildHasher, RandomState};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api_error::ApiError;
use crate::check::{check, shown};
use crate::generate_request::{MAX_PROMPT_CHARS, MAX_SEED, MAX_SIDE, MAX_STEPS, MIN_SIDE, SIDE_MULTIPLE};
use crate::queue::MAX_WAITING;
use crate::whole_numbers::whole_numbers;
use crate::{Generate, GenerateRequest, ModelCard};

const FIELDS: [&str; 22] = [
    "model",
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "steps",
    "cfg_scale",
    "seed",
    "sampler",
    "scheduler",
    "count",
    "clip_skip",
    "noise",
    "eta",
    "variation",
    "init",
    "inpaint",
    "hires",
    "refiner",
    "controls",
    "upscale",
    "enlarge",
];
/// Most pictures of one order.
const MAX_COUNT: u64 = 100;

/// Turns a request body into one request per picture, seeds counting up: one order, or many under `orders`.
///
/// # Errors
/// 400 with a code and a message that names the field, the value found and the bounds.
pub(crate) fn read_order(body: &[u8], generate: &dyn Generate) -> Result<Vec<GenerateRequest>, ApiError> {
    let mut value: Value =
        serde_json::from_slice(body).map_err(|error| bad("bad_json", format!("the body is not JSON: {error}")))?;
    whole_numbers(&mut value);
    let Value::Object(fields) = value else {
        return Err(bad("bad_json", "the body must be a JSON object").hint("for example {\"prompt\":\"a red apple\"}"));
    };
    let Some(orders) = fields.get("orders") else { return read_one(&fields, generate) };
    let Value::Array(orders) = orders else { return Err(wrong_kind("orders", orders, "a list of orders")) };
    if let Some(other) = fields.keys().find(|name| *name != "orders") {
        return Err(bad("unknown_field", format!("`{}` stands beside `orders`", shown(other)))
            .hint("settings stand inside each of the orders"));
    }
    let mut requests = Vec::new();
    for (index, order) in orders.iter().enumerate() {
        let Value::Object(fields) = order else { return Err(wrong_kind("orders", order, "a list of orders")) };
        let more = read_one(fields, generate).map_err(|mut error| {
            error.body.message = format!("order {}: {}", index + 1, error.body.message);
            error
        })?;
        requests.extend(more);
        if requests.len() > MAX_WAITING {
            return Err(bad("out_of_range", format!("these are more pictures than may wait: {MAX_WAITING}")));
        }
    }
    if requests.is_empty() {
        return Err(bad("out_of_range", "`orders` is empty").hint("order at least one picture"));
    }
    Ok(requests)
}

/// One order.
fn read_one(fields: &Map<String, Value>, generate: &dyn Generate) -> Result<Vec<GenerateRequest>, ApiError> {
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(bad("unknown_field", format!("`{}` is not a setting", shown(unknown)))
            .hint(format!("known settings: {}", FIELDS.join(", "))));
    }
    let models = generate.models();
    let card = model(fields, &models)?;
    let count = integer(fields, "count", 1, MAX_COUNT)?.unwrap_or(1);
    let seed = seed(fields, count)?;
    let (sampler, scheduler) = sampler(fields, generate, card)?;
    let first = GenerateRequest {
        prompt: text(fields, "prompt")?
            .ok_or_else(|| bad("missing_field", "`prompt` is missing").hint("say what the picture shows"))?,
        negative_prompt: text(fields, "negative_prompt")?.unwrap_or_default(),
        width: side(fields, "width", card.width)?,
        height: side(fields, "height", card.height)?,
        steps: narrow(integer(fields, "steps", 1, u64::from(MAX_STEPS))?, card.steps),
        cfg_scale: scale(fields, card.cfg_scale)?,
        seed,
        sampler,
        scheduler,
        model: card.id.clone(),
        clip_skip: part(fields, "clip_skip")?,
        noise: part(fields, "noise")?,
        eta: part(fields, "eta")?,
        variation: part(fields, "variation")?,
        init: part(fields, "init")?,
        inpaint: part(fields, "inpaint")?,
        hires: part(fields, "hires")?,
        refiner: part(fields, "refiner")?,
        controls: part(fields, "controls")?.unwrap_or_default(),
        upscale: part(fields, "upscale")?,
        enlarge: part(fields, "enlarge")?,
        ..GenerateRequest::default()
    };
    check(&first, generate)?;
    Ok((0..count).map(|index| GenerateRequest { seed: seed.saturating_add(index), ..first.clone() }).collect())
}

fn bad(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(400, code, message)
}

/// The field's value; `null` counts as absent.
fn present<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// A field that is made of further ones.
fn part<T: DeserializeOwned>(fields: &Map<String, Value>, name: &str) -> Result<Option<T>, ApiError> {
    let Some(value) = present(fields, name) else { return Ok(None) };
    T::deserialize(value).map(Some).map_err(|error| bad("wrong_type", format!("`{name}` cannot be read: {error}")))
}

fn text(fields: &Map<String, Value>, name: &'static str) -> Result<Option<String>, ApiError> {
    match present(fields, name) {
        None => Ok(None),
        Some(Value::String(text)) if text.chars().count() > MAX_PROMPT_CHARS => Err(bad(
            "too_long",
            format!("`{name}` has {} characters: at most {MAX_PROMPT_CHARS} are read", text.chars().count()),
        )),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong_kind(name, other, "a text")),
    }
}

fn wrong_kind(name: &str, value: &Value, wanted: &str) -> ApiError {
    bad("wrong_type", format!("`{name}` is {}: it must be {wanted}", shown(&value.to_string())))
}

fn integer(fields: &Map<String, Value>, name: &str, least: u64, most: u64) -> Result<Option<u64>, ApiError> {
    let Some(value) = present(fields, name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(wrong_kind(name, value, "a whole number")) };
    match number.as_u64() {
        Some(found) if (least..=most).contains(&found) => Ok(Some(found)),
        None if number.as_i64().is_none() && !number.to_string().bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(wrong_kind(name, value, "a whole number"))
        }
        _ => Err(bad("out_of_range", format!("`{name}` is {number}: it must be from {least} to {most}"))),
    }
}

/// A checked number as u32, or the model's value.
fn narrow(number: Option<u64>, otherwise: u32) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(otherwise)
}

fn side(fields: &Map<String, Value>, name: &str, otherwise: u32) -> Result<u32, ApiError> {
    let side = narrow(integer(fields, name, u64::from(MIN_SIDE), u64::from(MAX_SIDE))?, otherwise);
    if !side.is_multiple_of(SIDE_MULTIPLE) {
        let lower = side - side % SIDE_MULTIPLE;
        return Err(bad("out_of_range", format!("`{name}` is {side}: it must be a multiple of {SIDE_MULTIPLE}"))
            .hint(format!("{lower} and {} are", lower + SIDE_MULTIPLE)));
    }
    Ok(side)
}

fn scale(fields: &Map<String, Value>, otherwise: f32) -> Result<f32, ApiError> {
    let Some(value) = present(fields, "cfg_scale") else { return Ok(otherwise) };
    let Value::Number(number) = value else { return Err(wrong_kind("cfg_scale", value, "a number")) };
    #[expect(clippy::cast_possible_truncation, reason = "guidance is f32 in the engine; `check` knows the bounds")]
    Ok(number.as_f64().unwrap_or(f64::NAN) as f32)
}

fn seed(fields: &Map<String, Value>, count: u64) -> Result<u64, ApiError> {
    match present(fields, "seed") {
        None => Ok(random_seed()),
        Some(value) if value.as_i64() == Some(-1) => Ok(random_seed()),
        Some(_) => {
            let seed = integer(fields, "seed", 0, MAX_SEED)?.unwrap_or_default();
            if seed + (count - 1) > MAX_SEED {
                return Err(bad(
                    "out_of_range",
                    format!("`seed` is {seed}: with {count} pictures it must be at most {}", MAX_SEED - (count - 1)),
                ));
            }
            Ok(seed)
        }
    }
}

/// 32 random bits, the range that every other program's seed field accepts.
pub(crate) fn random_seed() -> u64 {
    // The standard library keys this hasher from the system's random source.
    RandomState::new().hash_one(std::time::Instant::now()) >> 32
}

fn model<'a>(fields: &Map<String, Value>, models: &'a [ModelCard]) -> Result<&'a ModelCard, ApiError> {
    match text(fields, "model")? {
        Some(id) => models.iter().find(|card| card.id == id).ok_or_else(|| {
            let known: Vec<&str> = models.iter().map(|card| card.id.as_str()).collect();
            bad("unknown_model", format!("the model `{}` is not installed here", shown(&id)))
                .hint(format!("installed: {}", known.join(", ")))
        }),
        None => models.iter().find(|card| card.is_default).or_else(|| models.first()).ok_or_else(|| {
            ApiError::new(503, "no_model", "no model is installed here").hint("install a bundle that holds a model")
        }),
    }
}

/// The sampler and, unless it is the sampler's own, the scheduler.
fn sampler(
    fields: &Map<String, Value>,
    generate: &dyn Generate,
    card: &ModelCard,
) -> Result<(String, Option<String>), ApiError> {
    let unknown = |code, kind, name: &str, known: Vec<String>| {
        bad(code, format!("the {kind} `{}` is not known here", shown(name)))
            .hint(format!("known: {}", known.join(", ")))
    };
    let (sampler, own) = match text(fields, "sampler")? {
        None => (card.sampler.clone(), card.scheduler.clone()),
        Some(name) => generate
            .read_sampler(&name)
            .ok_or_else(|| unknown("unknown_sampler", "sampler", &name, generate.samplers()))?,
    };
    let scheduler = match text(fields, "scheduler")? {
        None => own,
        Some(name) => Some(
            generate
                .read_scheduler(&name)
                .ok_or_else(|| unknown("unknown_scheduler", "scheduler", &name, generate.schedulers()))?,
        ),
    };
    Ok((sampler, scheduler))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> ModelCard {
        ModelCard {
            id: "spark".into(),
            name: "Spark".into(),
            family: "sd1".into(),
            licence: "CC0-1.0".into(),
            width: 64,
            height: 96,
            steps: 20,
            cfg_scale: 7.1,
            sampler: "Euler".into(),
            scheduler: None,
            is_default: true,
            ..ModelCard::default()
        }
    }

    struct Known(Vec<ModelCard>);

    impl Generate for Known {
        fn models(&self) -> Vec<ModelCard> {
            self.0.clone()
        }

        fn samplers(&self) -> Vec<String> {
            vec!["Euler".into(), "Euler a".into()]
        }

        fn schedulers(&self) -> Vec<String> {
            vec!["Automatic".into(), "Karras".into()]
        }

        fn read_sampler(&self, name: &str) -> Option<(String, Option<String>)> {
            let (sampler, scheduler) = match name.strip_suffix(" Karras") {
                Some(sampler) => (sampler, Some("Karras".to_owned())),
                None => (name, None),
            };
            Some((self.samplers().into_iter().find(|known| known.eq_ignore_ascii_case(sampler))?, scheduler))
        }

        fn generate(
            &self,
            _: &GenerateRequest,
            _: &mut dyn FnMut(crate::Progress) -> std::ops::ControlFlow<()>,
        ) -> Result<crate::Generated, crate::GenerateError> {
            Err(crate::GenerateError::Cancelled)
        }
    }

    fn read(body: &str) -> Result<Vec<GenerateRequest>, ApiError> {
        read_order(body.as_bytes(), &Known(vec![card()]))
    }

    fn refusal(body: &str) -> (u16, &'static str, String) {
        let error = read(body).expect_err(body);
        (error.status, error.body.code, error.body.message)
    }

    #[test]
    fn absent_settings_are_the_models() {
        let order = read(r#"{"prompt":"a red apple","seed":5}"#).expect("reads");
        assert_eq!(
            order.iter().map(GenerateRequest::to_json).collect::<Vec<_>>(),
            [concat!(
                r#"{"model":"spark","prompt":"a red apple","negative_prompt":"","width":64,"height":96,"#,
                r#""steps":20,"cfg_scale":7.1,"seed":5,"sampler":"Euler"}"#
            )]
        );
    }

    #[test]
    fn several_pictures_count_their_seeds_up() {
        let order = read(r#"{"prompt":"","seed":7,"count":3,"sampler":"euler A","steps":null}"#).expect("reads");
        assert_eq!(order.iter().map(|request| request.seed).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(order[0].sampler, "Euler a");
    }

    #[test]
    fn many_orders_are_read_at_once() {
        let order = read(r#"{"orders":[{"prompt":"a","seed":1,"count":2},{"prompt":"b","seed":9}]}"#).expect("reads");
        let read: Vec<_> = order.iter().map(|request| (request.prompt.as_str(), request.seed)).collect();
        assert_eq!(read, [("a", 1), ("a", 2), ("b", 9)]);
    }

    #[test]
    fn schedulers_are_read_from_their_field_or_the_samplers_name() {
        let chosen = |body: &str| read(body).map(|order| (order[0].sampler.clone(), order[0].scheduler.clone()));
        let karras = || Ok(("Euler a".to_owned(), Some("Karras".to_owned())));
        assert_eq!(chosen(r#"{"prompt":"","sampler":"Euler a","scheduler":"karras"}"#).map_err(|e| e.status), karras());
        assert_eq!(chosen(r#"{"prompt":"","sampler":"Euler a Karras"}"#).map_err(|e| e.status), karras());
        let plain = chosen(r#"{"prompt":"","sampler":"Euler a"}"#).map_err(|e| e.status);
        assert_eq!(plain, Ok(("Euler a".to_owned(), None)));
    }

    #[test]
    fn open_seeds_differ_and_stay_in_range() {
        let a = read(r#"{"prompt":"","seed":-1}"#).expect("reads")[0].seed;
        let b = read(r#"{"prompt":""}"#).expect("reads")[0].seed;
        assert!(a <= u64::from(u32::MAX) && b <= u64::from(u32::MAX) && a != b);
    }

    #[test]
    fn wrong_bodies_name_the_field() {
        for (body, code, part) in [
            ("", "bad_json", "not JSON"),
            ("[]", "bad_json", "object"),
            ("{\"prompt\":\"\u{0}\"}", "bad_json", "not JSON"),
            ("{}", "missing_field", "`prompt`"),
            (r#"{"prompt":"","stepz":3}"#, "unknown_field", "`stepz`"),
            (r#"{"prompt":3}"#, "wrong_type", "`prompt` is 3"),
            (r#"{"prompt":"","steps":0}"#, "out_of_range", "`steps` is 0: it must be from 1 to 150"),
            (r#"{"prompt":"","steps":-4}"#, "out_of_range", "`steps` is -4"),
            (r#"{"prompt":"","steps":2.5}"#, "wrong_type", "`steps` is 2.5: it must be a whole number"),
            (r#"{"prompt":"","steps":"20"}"#, "wrong_type", "`steps`"),
            (r#"{"prompt":"","width":65}"#, "out_of_range", "`width` is 65: it must be a multiple of 8"),
            (r#"{"prompt":"","height":4096}"#, "out_of_range", "`height` is 4096"),
            (r#"{"prompt":"","cfg_scale":1e40}"#, "out_of_range", "`cfg_scale`"),
            (r#"{"prompt":"","cfg_scale":-1}"#, "out_of_range", "`cfg_scale` is -1"),
            (r#"{"prompt":"","cfg_scale":0.5}"#, "out_of_range", "`cfg_scale` is 0.5: it must be from 1 to 30"),
            (r#"{"prompt":"","hires":{"cfg_scale":0}}"#, "out_of_range", "`hires.cfg_scale` is 0"),
            (r#"{"prompt":"","seed":9007199254740992}"#, "out_of_range", "`seed`"),
            (r#"{"prompt":"","seed":9007199254740991,"count":2}"#, "out_of_range", "`seed`"),
            (r#"{"prompt":"","seed":-2}"#, "out_of_range", "`seed` is -2"),
            (r#"{"prompt":"","seed":1e999}"#, "bad_json", "not JSON"),
            (r#"{"prompt":"","count":101}"#, "out_of_range", "`count` is 101"),
            (r#"{"orders":[]}"#, "out_of_range", "empty"),
            (r#"{"orders":{}}"#, "wrong_type", "`orders`"),
            (r#"{"orders":[3]}"#, "wrong_type", "`orders`"),
            (r#"{"orders":[{"prompt":""}],"seed":3}"#, "unknown_field", "`seed`"),
            (r#"{"orders":[{"prompt":""},{"prompt":"","steps":0}]}"#, "out_of_range", "order 2: `steps` is 0"),
            (r#"{"prompt":"","model":"sdxl"}"#, "unknown_model", "`sdxl`"),
            (r#"{"prompt":"","sampler":"Heun"}"#, "unknown_sampler", "`Heun`"),
            (r#"{"prompt":"","scheduler":"Beta"}"#, "unknown_scheduler", "`Beta`"),
        ] {
            let (status, found, message) = refusal(body);
            assert_eq!((status, found), (400, code), "{body}: {message}");
            assert!(message.contains(part), "{body}: {message}");
        }
        let long = format!(r#"{{"prompt":"{}"}}"#, "é".repeat(MAX_PROMPT_CHARS + 1));
        assert_eq!(refusal(&long).1, "too_long");
        assert_eq!(read_order(br#"{"prompt":""}"#, &Known(Vec::new())).expect_err("no model").status, 503);
    }
}
