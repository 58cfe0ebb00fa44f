//! What a plan says and what it refuses.

use crate::harness::{Bench, https, stated};
use bundler::{Builtin, BuiltinFile, PlanError, PlanInput, Policy, plan};
use expect_test::expect;
use manifest::{Catalog, Confirmation, Lock, LockedComponent, LockedFile, Request, Sha256};
use std::path::Path;

const BUILTINS: &[Builtin] = &[Builtin {
    name: "spark",
    files: &[BuiltinFile { path: "models/checkpoints/spark.safetensors", bytes: b"spark" }],
}];

fn catalog() -> Catalog {
    let digest = Sha256::of(b"sd15");
    Catalog::parse(
        "models.toml",
        &format!(
            "[[entry]]\nid = 'spark'\nkind = 'checkpoint'\nfamily = 'sd1'\ntitle = 'spark'\nlicence = 'MIT'\nsources = [{{ kind = 'builtin', name = 'spark' }}]\n\
             [[entry]]\nid = 'sd15'\nkind = 'checkpoint'\nfamily = 'sd1'\ntitle = 'Stable Diffusion 1.5'\nlicence = 'CreativeML Open RAIL-M'\nfile = 'v1-5.safetensors'\nsize = 4265146304\nsha256 = '{digest}'\nsources = [{{ kind = 'huggingface', repo = 'o/sd15', file = 'v1-5.safetensors' }}]\n\
             [[entry]]\nid = 'doubtful'\nkind = 'lora'\ntitle = 'Doubtful'\nlicence = 'unknown'\nfile = 'd.safetensors'\nsources = [{{ kind = 'civitai', version = 7 }}]\n"
        ),
    )
    .unwrap()
}

fn planned(request: &str, lock: Option<&Lock>, trust_on_first_use: bool) -> Result<bundler::BundlePlan, PlanError> {
    let request = Request::parse("forge.toml", request).unwrap();
    plan(PlanInput {
        catalog: &catalog(),
        request: &request,
        request_folder: Path::new("."),
        lock,
        builtins: BUILTINS,
        policy: Policy { trust_on_first_use },
    })
}

#[test]
fn a_plan_reads_well() {
    let request = "name = 'kit'\ninclude = ['spark', 'sd15', 'doubtful']\n[[component]]\nid = 'icons'\nkind = 'part'\ntitle = 'Icons'\nlicence = 'MIT'\nfile = 'icons.tgz'\nsources = [{ kind = 'npm', package = 'icons', version = '1.0.0' }]";
    expect![[r#"
        Plan for the bundle `kit`

        spark     spark (checkpoint, sd1)
                  models/checkpoints/spark.safetensors  5 bytes, built in

        sd15      Stable Diffusion 1.5 (checkpoint, sd1)
                  models/checkpoints/v1-5.safetensors  4.0 GiB, digest stated
                    sha256 8ca71bc6a30c11a2c8096f979ce6ce003096a6a30cf1efa353fbf36a81e8563c
                    from huggingface o/sd15@main v1-5.safetensors

        doubtful  Doubtful (lora)
                  models/loras/d.safetensors  size unknown, NOT CONFIRMED by anybody
                    from civitai model version 7

        icons     Icons (part)
                  parts/icons/icons.tgz  size unknown, digest to come from the registry
                    from npm icons@1.0.0

        total     4 files, 4.0 GiB and 2 of unknown size
        licences  CreativeML Open RAIL-M: sd15
                  MIT: spark, icons
                  unknown: doubtful
        note      nobody vouches for `doubtful`: whatever the first download gives is taken and pinned
    "#]]
    .assert_eq(&planned(request, None, true).unwrap().to_string());
}

#[test]
fn the_impossible_is_refused_with_advice() {
    let refusal = |request: &str| {
        let error = planned(&format!("name = 'kit'\n{request}"), None, false).unwrap_err();
        format!("{error}\n{}", error.hint().unwrap())
    };
    assert!(refusal("include = ['sd1.5']").starts_with("there is no component `sd1.5`; did you mean `sd15`?"));
    assert!(refusal("include = ['sd1.5']").contains("fieldforge catalog list"));
    assert!(refusal("include = ['doubtful']").contains("--trust-on-first-use"));
    assert!(refusal("include = ['spark']\ndefault-model = 'sd15'").contains("`default-model` names `sd15`"));
    let own = |kind: &str, file: &str, source: &str| {
        refusal(&format!(
            "[[component]]\nid = 'own'\nkind = '{kind}'\ntitle = 'x'\nlicence = 'x'\nfile = '{file}'\n{}\nsources = [{source}]",
            stated(b"x")
        ))
    };
    let ok = "{ kind = 'https', url = 'https://a.example/x' }";
    assert!(own("checkpoint", "m.ckpt", ok).contains("a pickle"));
    assert!(own("part", "m.pt", ok).contains("a pickle"));
    assert!(
        own("checkpoint", "m.safetensors", "{ kind = 'https', url = 'https://a.example/x.ckpt' }").contains("a pickle")
    );
    assert!(own("lora", "m.bin", ok).contains("only `.safetensors`"));
    assert!(own("part", "../x", ok).contains("plain file name"));
    assert!(own("part", "x.part", ok).contains("not possible"));
    let plain = own("part", "x", "{ kind = 'https', url = 'http://a.example/x' }");
    assert!(plain.contains("unprotected") && plain.contains("https://a.example/x"), "{plain}");
    assert!(own("part", "x", "{ kind = 'https', url = 'ftp://a.example/x' }").contains("`ftp` is not `https`"));
    assert!(own("part", "x", "{ kind = 'https', url = 'x' }").contains("not a web address"));
    assert!(own("part", "x", "").contains("no source"));
    assert!(own("part", "x", "{ kind = 'builtin', name = 'other' }").contains("does not have"));
}

#[test]
fn missing_files_and_equal_paths_are_refused() {
    let mut bench = Bench::new();
    bench.component("a", "lora", "x.safetensors", &stated(b"a"), &https("https://a.example/x"));
    bench.component("b", "lora", "X.safetensors", &stated(b"b"), &https("https://a.example/y"));
    let error = bench.plan().unwrap_err();
    assert_eq!(error.to_string(), "`a` and `b` would both become `models/loras/X.safetensors`");
    let mut bench = Bench::new();
    bench.component("a", "part", "x", "", "{ kind = 'file', path = 'not/there' }");
    assert!(matches!(bench.plan(), Err(PlanError::MissingFile { .. })));
}

#[test]
fn a_stale_lock_is_kept_where_it_fits() {
    let locked = |id: &str, content: &[u8], version: u64| LockedComponent {
        id: id.parse().unwrap(),
        kind: manifest::ComponentKind::Lora,
        family: None,
        title: id.to_owned(),
        licence: "unknown".to_owned(),
        sources: vec![manifest::Source::Civitai { version }],
        settings: None,
        files: vec![LockedFile {
            path: "models/loras/d.safetensors".parse().unwrap(),
            size: 1,
            sha256: Sha256::of(content),
            confirmed: Confirmation::FirstUse,
        }],
    };
    let lock = |version| Lock {
        sequence: 1,
        format: Lock::FORMAT,
        request: Sha256::of(b"another request"),
        components: vec![locked("doubtful", b"pinned", version)],
    };
    let request = "name = 'kit'\ninclude = ['spark', 'doubtful', 'sd15']";
    let plan = planned(request, Some(&lock(7)), false).unwrap();
    assert_eq!(plan.components[1].files[0].sha256, Some(Sha256::of(b"pinned")));
    assert_eq!(
        plan.notes,
        ["`forge.lock` was made for another `forge.toml`; what still fits is kept, resolved again: `sd15`"]
    );
    // The same source no longer: nobody vouches for it any more.
    assert!(matches!(planned(request, Some(&lock(8)), false), Err(PlanError::DigestUnknown { .. })));
    // The request is the same: the lock wins over a catalog that changed.
    let mut same = lock(8);
    same.request = planned(request, None, true).unwrap().request;
    let plan = planned(request, Some(&same), false).unwrap();
    assert_eq!(plan.components[1].files[0].sha256, Some(Sha256::of(b"pinned")));
    assert!(plan.notes.iter().any(|note| note.contains("describes `doubtful` differently")), "{:?}", plan.notes);
}
