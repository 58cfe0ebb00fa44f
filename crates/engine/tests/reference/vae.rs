//! The autoencoder against diffusers' `AutoencoderKL`.

use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use engine::{EngineError, Model, OpenOptions};

use crate::support::{Golden, assert_close, values};
use crate::{spark, tiny};

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| Golden::load("vae"));

#[test]
fn encoder_equals_diffusers() {
    for (name, model) in [("tiny", &*tiny::MODEL), ("spark", &*spark::MODEL)] {
        for size in ["even", "odd"] {
            let (picture, noise) = (GOLDEN.get(size), GOLDEN.get(&format!("{size}.noise")));
            let mean = model.encode_picture(picture, None).expect("a latent");
            assert_close(&format!("{name} encoder {size}"), &mean, GOLDEN.get(&format!("{name}.{size}.mean")), 1e-5);
            let sample = model.encode_picture(picture, Some(noise)).expect("a latent");
            let expected = GOLDEN.get(&format!("{name}.{size}.sample"));
            assert_close(&format!("{name} encoder {size} sample"), &sample, expected, 1e-5);
        }
    }
}

#[test]
fn pictures_that_cannot_be_encoded_are_errors() {
    for shape in [(1, 3, 7, 64), (1, 4, 64, 64)] {
        let picture = Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).expect("a tensor");
        let error = tiny::MODEL.encode_picture(&picture, None).expect_err("too small, or four channels");
        assert!(matches!(error, EngineError::Compute(_)), "{error}");
    }
}

/// A latent as models make them: large shapes, a little noise in the details.
fn smooth_latent(height: usize, width: usize) -> Tensor {
    let values = (0..4 * height * width).map(|i| {
        let (channel, y, x) = (i / (height * width), i / width % height, i % width);
        let wave = |period: f32, at: usize| (std::f32::consts::TAU * at as f32 / period + channel as f32).sin();
        0.7 * wave(61.0, x) + 0.5 * wave(47.0, y) + 0.2 * wave(7.3, x + 2 * y)
    });
    Tensor::from_vec(values.collect(), (1, 4, height, width), &Device::Cpu).expect("a latent")
}

/// Fails unless the peak signal-to-noise ratio of values within -1 to 1 is at least `bound` dB.
#[expect(clippy::print_stderr, reason = "the figures are for people who run one test")]
fn assert_alike(what: &str, found: &Tensor, expected: &Tensor, bound: f64) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    let (found, expected) = (values(found), values(expected));
    let squares: f64 = found.iter().zip(&expected).map(|(f, e)| f64::from(f - e).powi(2)).sum();
    let likeness = 10.0 * (4.0 * found.len() as f64 / squares).log10();
    eprintln!("{what}: {likeness:.1} dB");
    assert!(likeness >= bound, "{what}: {likeness:.1} dB");
}

/// spark with an autoencoder that always works in tiles.
static TILED: LazyLock<Model> = LazyLock::new(|| {
    let mut options = OpenOptions::default();
    options.vae_tiles = true;
    Model::open_with(&spark::path(), &options).expect("spark")
});

#[test]
fn tiles_change_a_picture_by_little() {
    // no multiples of a tile: 2 x 1 tiles of 41 x 20 positions
    let latent = smooth_latent(70, 20);
    let whole = spark::MODEL.decode_latent(&latent).expect("a picture");
    let tiled = TILED.decode_latent(&latent).expect("a picture");
    assert_eq!(tiled.dims(), [1, 3, 560, 160]);
    assert_alike("tiled decoder", &tiled, &whole, 30.0);
    let picture = whole.narrow(2, 0, 555).and_then(|picture| picture.contiguous()).expect("a picture");
    let whole = spark::MODEL.encode_picture(&picture, None).expect("a latent");
    let tiled = TILED.encode_picture(&picture, None).expect("a latent");
    assert_eq!(tiled.dims(), [1, 4, 69, 20]);
    assert_alike("tiled encoder", &tiled, &whole, 30.0);
}

#[test]
fn small_pictures_are_not_cut() {
    let latent = smooth_latent(8, 8);
    let decoded = |model: &Model| values(&model.decode_latent(&latent).expect("a picture"));
    assert_eq!(decoded(&TILED), decoded(&spark::MODEL));
}

#[test]
fn tiles_do_not_depend_on_the_number_of_threads() {
    let latent = smooth_latent(8, 66);
    let decode = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        values(&pool.install(|| TILED.decode_latent(&latent)).expect("a picture"))
    };
    assert_eq!(decode(1), decode(3));
}
