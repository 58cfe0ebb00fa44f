//! Pictures from pictures, drawn by the real program with the built-in model.

use crate::run::{Place, Ran};
use std::io::BufReader;
use std::path::Path;

/// Width, height and colours.
fn decoded(path: &Path) -> (u32, u32, Vec<u8>) {
    let decoder = png::Decoder::new(BufReader::new(fs_err::File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    pixels.truncate(frame.buffer_size());
    (frame.width, frame.height, pixels)
}

fn png_file(width: u32, height: u32, colour: png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    file
}

fn draw(place: &Place, args: &[&str]) -> Ran {
    draw_seed(place, "1", args)
}

fn draw_seed(place: &Place, seed: &str, args: &[&str]) -> Ran {
    let always = ["generate", "a red apple", "--seed", seed, "--steps", "6", "--home", "home"];
    place.run([&always, args].concat())
}

#[test]
fn wide_registers_give_the_same_bytes_and_unfused_sums_nearly() {
    let place = Place::new();
    let drawn = |kernels: &str| {
        let mut command = place.command(env!("CARGO_BIN_EXE_fieldforge"));
        command.args(["generate", "a red apple", "--seed", "1", "--home", "home", "--out", "apple.png"]);
        command.args(["--precision", "f32"]);
        let output = command.env("FIELDFORGE_KERNELS", kernels).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        decoded(&place.path("apple.png")).2
    };
    let (best, portable) = (drawn("best"), drawn("portable"));
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        assert_eq!(best, drawn("avx2"), "AVX2 and the best instruction set");
    }
    let squares = best.iter().zip(&portable).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / best.len() as f64;
    assert!(mean < 255.0 * 255.0 / 10_f64.powf(5.0), "below 50 dB: mean square {mean}");
}

#[test]
fn pictures_are_drawn_from_pictures() {
    let place = Place::new();
    draw(&place, &["--out", "first.png", "--batch", "2"]).expect_success();
    let (width, height, first) = decoded(&place.path("first.png"));
    assert_eq!((width, height), (64, 64));
    assert_ne!(decoded(&place.path("first-2.png")).2, first);
    draw_seed(&place, "2", &["--out", "second.png"]).expect_success();
    assert_eq!(decoded(&place.path("first-2.png")), decoded(&place.path("second.png")), "the next seed");

    // An apple that may change a little stays one; that may change wholly, it becomes a car.
    let change = |strength: &str| {
        let car = ["generate", "a blue car", "--seed", "9", "--steps", "6", "--home", "home"];
        place
            .run([&car[..], &["--init", "first.png", "--strength", strength, "--out", "image.png"]].concat())
            .expect_success();
        let (_, _, drawn) = decoded(&place.path("image.png"));
        drawn.iter().zip(&first).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>() / first.len() as u64
    };
    let (little, much) = (change("0.1"), change("1"));
    assert!(little * 2 < much, "{little}, {much}");

    // the masked half is drawn anew, the other keeps its bytes
    let half: Vec<u8> = (0..64 * 64).map(|at| if at % 64 < 24 { 255 } else { 0 }).collect();
    place.write("half.png", png_file(64, 64, png::ColorType::Grayscale, &half));
    let masked = ["--init", "first.png", "--mask", "half.png", "--strength", "1", "--inpaint-fill", "noise"];
    draw(&place, &[&masked[..], &["--out", "inpainted.png"]].concat()).expect_success();
    let (_, _, inpainted) = decoded(&place.path("inpainted.png"));
    let differs = |columns: std::ops::Range<usize>| {
        let at = |i: usize| columns.contains(&(i / 3 % 64));
        (0..first.len()).filter(|&i| at(i) && first[i] != inpainted[i]).count()
    };
    assert_eq!(differs(40..64), 0);
    assert!(differs(0..20) > 1000);

    draw(&place, &["--init", "first.png", "--extend", "left=32,top=16", "--out", "outpainted.png"]).expect_success();
    let (width, height, _) = decoded(&place.path("outpainted.png"));
    assert_eq!((width, height), (96, 80));
}

#[test]
fn a_second_pass_is_larger() {
    let place = Place::new();
    for (upscaler, size) in [("Latent", "2"), ("Lanczos", "96x96")] {
        draw(&place, &["--hires", size, "--hires-upscaler", upscaler, "--hires-steps", "3"]).expect_success();
        let (width, height, _) = decoded(&place.path("picture.png"));
        let side = if size == "2" { 128 } else { 96 };
        assert_eq!((width, height), (side, side), "{upscaler}");
    }
}

#[test]
fn pictures_that_cannot_be_used_are_named() {
    let place = Place::new();
    place.write("notes.txt", "no picture");
    draw(&place, &["--init", "notes.txt"]).expect_refusal(&["`notes.txt` cannot be used"]);
    draw(&place, &["--init", "missing.png"]).expect_refusal(&["missing.png"]);
    draw(&place, &["--hires", "2", "--hires-upscaler", "4x-foo"]).expect_refusal(&["no upscaler is called `4x-foo`"]);
    draw(&place, &["--hires", "9"]).expect_refusal(&["hires scale is 9, expected 1 to 4"]);
    assert_eq!(draw(&place, &["--strength", "0.5"]).code, Some(2), "a strength without a picture");
    assert_eq!(draw(&place, &["--refiner", "spark@much"]).code, Some(2));
    assert!(!place.path("picture.png").exists());
}
