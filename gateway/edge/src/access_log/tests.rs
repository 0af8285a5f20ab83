//! Lines as they are written, what is sampled, and what is dropped when nobody writes.

use defense::Reason;

use super::*;

struct Scene {
    log: AccessLog,
    who: Who,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn scene(sample: u32) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = AccessLog::start(LogConfig { path: path.clone(), sample }, Clock::system()).unwrap();
    let who = Who::new("2001:db8::7".parse().unwrap(), "alice", "laptop", "web", 1);
    Scene { log, who, path, _folder: folder }
}

fn entry(path: &str, reason: Option<Reason>) -> Entry<'_> {
    Entry {
        protocol: "h1",
        request: Some(1),
        asked: Some(("GET", path)),
        status: Some(200),
        reason,
        bytes_in: 1,
        bytes_out: 2,
        total_us: 3,
        service_us: None,
    }
}

impl Scene {
    fn take(&self, path: &str, reason: Option<Reason>) {
        self.log.take(&self.who, &entry(path, reason));
    }

    fn lines(&self) -> Vec<String> {
        self.log.flush();
        std::fs::read_to_string(&self.path).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn passes_are_sampled_and_refusals_never() {
    let scene = scene(4);
    (0..40).for_each(|_| scene.take("/pass", None));
    (0..10).for_each(|_| scene.take("/refused", Some(Reason::RateLease)));
    let of = |what| scene.lines().iter().filter(|line| line.contains(what)).count();
    assert_eq!((of("/pass"), of("/refused")), (10, 10));
    assert!(scene.lines()[0].contains("\"source\":\"2001:db8::7\",\"user\":\"alice\""));
}

#[test]
fn a_full_buffer_drops_passes_first_then_refusals_and_says_how_many() {
    let scene = scene(1);
    // Nobody empties the buffers meanwhile.
    let mut sink = lock(&scene.log.desk.sink);
    let path = "x".repeat(400);
    let fits = LOG_BUFFER_BYTES_MAX / 400;
    (0..fits).for_each(|_| scene.take(&path, None));
    let before = lock_mine(&scene.log).dropped;
    assert!(before > 0, "a quarter is left");
    scene.take("/refused", Some(Reason::RateLease));
    assert_eq!(lock_mine(&scene.log).dropped, before);
    (0..fits).for_each(|_| scene.take(&path, Some(Reason::RateLease)));
    let dropped = lock_mine(&scene.log).dropped;
    assert!(dropped > before && lock_mine(&scene.log).lines.len() < LOG_BUFFER_BYTES_MAX + 1000);
    scene.log.desk.write_out(&mut sink);
    drop(sink);
    let lines = scene.lines();
    assert!(lines.last().unwrap().ends_with(&format!("\"dropped\":{dropped}}}")));
    assert_eq!(lines.iter().filter(|line| line.contains("/refused")).count(), 1);
    assert_eq!(lines.len() - 2, 2 * fits - usize::try_from(dropped).unwrap());
}

fn lock_mine(log: &AccessLog) -> MutexGuard<'_, Buffer> {
    lock(&log.desk.buffers[place() % LOG_BUFFERS])
}

#[test]
fn a_renamed_file_keeps_what_came_before_and_a_new_one_takes_the_rest() {
    let scene = scene(1);
    scene.take("/before", None);
    let old = scene.path.with_extension("1");
    std::fs::rename(&scene.path, &old).unwrap();
    scene.take("/between", None);
    scene.log.reopen().unwrap();
    scene.take("/after", None);
    let lines = scene.lines();
    assert!(lines.len() == 1 && lines[0].contains("/after"));
    assert_eq!(std::fs::read_to_string(old).unwrap().lines().count(), 2);
}

#[test]
fn everything_taken_is_written_by_itself_and_at_the_end() {
    let scene = scene(1);
    scene.take("/first", None);
    for _ in 0..2000 {
        if !std::fs::read(&scene.path).unwrap().is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(std::fs::read_to_string(&scene.path).unwrap().contains("/first"));
    scene.take("/last", None);
    let Scene { log, path, _folder, .. } = scene;
    drop(log);
    assert!(std::fs::read_to_string(path).unwrap().contains("/last"));
}
