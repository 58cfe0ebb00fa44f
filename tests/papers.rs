//! Bill of materials and licence texts, as they travel.

use crate::run::Place;
use serde_json::Value;

const REQUEST: &str = r#"
name = "kit"
include = ["spark"]
[[component]]
id = "free"
kind = "part"
title = "Something free"
licence = "MIT"
file = "free.bin"
sha256 = "DIGEST"
sources = [{ kind = "file", path = "part.bin" }]
[[component]]
id = "odd"
kind = "part"
title = "Something odd"
licence = "ask somebody"
file = "odd.bin"
sha256 = "DIGEST"
sources = [{ kind = "file", path = "part.bin" }]
"#;

#[test]
fn a_bundle_brings_its_papers() {
    let place = Place::new();
    place.write("part.bin", "part");
    place.write("forge.toml", REQUEST.replace("DIGEST", &manifest::Sha256::of(b"part").to_string()));
    let odd = "what the licence of `odd` allows is not known here (\"ask somebody\")";
    assert!(place.run(["plan", "forge.toml"]).expect_success().stderr.contains(odd));
    let ran = place.run(["bundle", "forge.toml", "--no-sign", "--out", "kit"]).expect_success();
    assert!(ran.stderr.contains(odd), "{}", ran.stderr);

    let beside = fs_err::read(place.path("kit/sbom.cdx.json")).unwrap();
    let sums = fs_err::read_to_string(place.path("kit/SHA256SUMS")).unwrap();
    assert!(sums.contains(&format!("{}  sbom.cdx.json", manifest::Sha256::of(&beside))), "{sums}");
    let bill: Value = serde_json::from_slice(&beside).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    assert!(bill["metadata"].get("timestamp").is_none(), "no time unless SOURCE_DATE_EPOCH names one");
    let components = bill["components"].as_array().unwrap();
    let component = |name: &str| components.iter().find(|component| component["name"] == name).unwrap();
    assert_eq!(component("spark")["type"], "machine-learning-model");
    let weights = fs_err::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/spark/spark.safetensors")).unwrap();
    assert_eq!(component("spark")["hashes"][0]["content"], manifest::Sha256::of(&weights).to_string());
    assert_eq!(component("odd")["licenses"][0]["license"]["name"], "ask somebody");
    assert_eq!(component("free")["licenses"][0]["expression"], "MIT");
    assert!(component("candle-core")["purl"].as_str().unwrap().starts_with("pkg:cargo/candle-core@"));

    place.run(["install", "kit", "--allow-unsigned", "--home", "home"]).expect_success();
    let generation = place.path("home/generations/0001");
    assert!(fs_err::read(generation.join("sbom.cdx.json")).unwrap() == beside, "the archive holds the same");
    let text = fs_err::read_to_string(generation.join("licences/free/LICENCE.txt")).unwrap();
    assert!(text.contains("Something free") && text.contains("Permission is hereby granted"), "{text}");
    let text = fs_err::read_to_string(generation.join("licences/odd/LICENCE.txt")).unwrap();
    assert!(text.contains("ask somebody") && text.contains("not in this bundle"), "{text}");
    let text = fs_err::read_to_string(generation.join("licences/fieldforge/THIRD-PARTY.txt")).unwrap();
    assert!(text.contains("candle-core") && text.contains("Apache License"), "{}", text.len());

    for folder in ["kit", "home"] {
        let ran = place.run(["inspect", "--licences", folder]).expect_success();
        assert!(
            ran.stdout.contains("commercial use: yes") && ran.stdout.contains("licences/free/LICENCE.txt"),
            "{}",
            ran.stdout
        );
        assert!(ran.stderr.contains(odd), "{}", ran.stderr);
        let ran = place.run(["inspect", "--licences", folder, "--json"]).expect_success();
        let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let licences = lines.iter().find_map(|line| line["licences"].as_array()).unwrap();
        let line = |name: &str| licences.iter().find(|line| line["component"] == name).unwrap();
        assert_eq!(
            (&line("free")["commercial_use"], &line("odd")["commercial_use"]),
            (&"yes".into(), &"unknown".into())
        );
    }

    // The same again, with nothing of the first run at hand: the same papers.
    fs_err::remove_dir_all(place.path("user/.cache")).unwrap();
    place.run(["bundle", "forge.toml", "--no-sign", "--out", "again"]).expect_success();
    for name in ["sbom.cdx.json", "SHA256SUMS"] {
        assert!(
            fs_err::read(place.path("kit").join(name)).unwrap()
                == fs_err::read(place.path("again").join(name)).unwrap()
        );
    }
}

#[test]
fn the_texts_of_model_licences_and_the_decoders_papers_travel() {
    let place = Place::new();
    place.write("part.bin", "part");
    let digest = manifest::Sha256::of(b"part").to_string();
    let component = |id: &str, family: &str, licence: &str| {
        format!(
            "[[component]]\nid = '{id}'\nkind = 'part'\nfamily = '{family}'\ntitle = '{id}'\nlicence = '{licence}'\n\
            file = '{id}.bin'\nsha256 = '{digest}'\nsources = [{{ kind = 'file', path = 'part.bin' }}]\n"
        )
    };
    let request = "name = 'kit'\ninclude = ['spark']\n".to_owned()
        + &component("old", "sd1", "CreativeML Open RAIL-M")
        + &component("large", "sdxl", "Open RAIL++");
    place.write("forge.toml", request);
    place.run(["bundle", "forge.toml", "--no-sign", "--codec", "planes", "--out", "kit"]).expect_success();
    let bill: Value = serde_json::from_slice(&fs_err::read(place.path("kit/sbom.cdx.json")).unwrap()).unwrap();
    let decoder = bill["components"].as_array().unwrap().iter().find(|one| one["name"] == "unplanes").unwrap();
    let files: Vec<_> =
        decoder["components"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(files, ["parts/unplanes/unplanes.c", "parts/unplanes/unplanes.py", "licences/unplanes/LICENCE.txt"]);
    assert!(bill["dependencies"][0]["dependsOn"].as_array().unwrap().contains(&"component:unplanes".into()));

    place.run(["install", "kit", "--allow-unsigned", "--home", "home"]).expect_success();
    let text = |id: &str| {
        fs_err::read_to_string(place.path(&format!("home/generations/0001/licences/{id}/LICENCE.txt"))).unwrap()
    };
    assert!(text("old").contains("dated August 22, 2022") && text("old").contains("Attachment A"));
    assert!(text("large").contains("says no more than this name") && text("large").contains("dated July 26, 2023"));
    assert!(text("unplanes").contains("Permission is hereby granted"));
    for folder in ["kit", "home"] {
        let said = place.run(["inspect", "--licences", folder]).expect_success().stdout;
        for id in ["old", "large", "unplanes"] {
            assert!(said.contains(&format!("licences/{id}/LICENCE.txt")), "{said}");
        }
        assert!(!said.contains("none in here"), "{said}");
    }
}

#[test]
fn the_program_names_what_it_is_made_of() {
    let ran = Place::new().run(["inspect", "--licences"]).expect_success();
    assert!(ran.stdout.contains("candle-core ") && ran.stdout.contains("Apache License"), "{}", ran.stdout.len());
}
