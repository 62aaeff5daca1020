//! The simulated disk as a file system of SQLite: the table of C functions of <https://www.sqlite.org/vfs.html>.
//!
//! SQLite calls these with what `open` gave it and with buffers of the lengths it says; each function turns that into
//! one call on [`State`](crate::disk::State), which knows nothing of pointers. Nothing here decides anything.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rusqlite::ffi;

use crate::disk::{Inode, Simulated, State};
use crate::ground::disk_of;
use crate::locks::Holder;

const NAME: &CStr = c"faults";
const NAME_TEXT: &str = "faults";

/// The longest path, as SQLite's own file system has it.
const PATH_BYTES_MAX: c_int = 512;
/// As SQLite's own file system on Linux says.
const SECTOR_BYTES: c_int = 4096;

/// An open file: what SQLite keeps for us.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    disk: Simulated,
    inode: Inode,
    path: PathBuf,
    holder: Holder,
    /// A journal that this opening may have made: its first sync makes the name durable too, as SQLite's own does.
    is_new_name: bool,
    delete_on_close: bool,
}

/// The file system's name with SQLite, registered when first asked for.
pub(crate) fn name() -> &'static str {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(register);
    NAME_TEXT
}

fn register() {
    // SAFETY: the default file system exists from SQLite's initialisation on and is never changed; ours is a copy of it
    // (time, sleep and randomness stay its own) that lives for ever, as SQLite asks.
    unsafe {
        ffi::sqlite3_initialize();
        let system = ffi::sqlite3_vfs_find(null());
        assert!(!system.is_null(), "SQLite has no file system");
        let ours = Box::leak(Box::new(std::ptr::read(system)));
        ours.iVersion = 2;
        ours.szOsFile = size_of::<OpenFile>() as c_int;
        ours.mxPathname = PATH_BYTES_MAX;
        ours.pNext = null_mut();
        ours.zName = NAME.as_ptr();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        ours.xAccess = Some(access);
        ours.xFullPathname = Some(full_pathname);
        assert_eq!(ffi::sqlite3_vfs_register(ours, 0), ffi::SQLITE_OK);
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// # Safety
/// `name` is a C string that lives through the call.
unsafe fn path_of(name: *const c_char) -> PathBuf {
    // SAFETY: as promised by the caller.
    let name = unsafe { CStr::from_ptr(name) };
    PathBuf::from(name.to_string_lossy().into_owned())
}

/// # Safety
/// `file` was opened by [`open`] and is not closed.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: `open` put a valid box there; SQLite uses a file from one thread at a time.
    unsafe { &mut *(*file.cast::<OpenFile>()).handle }
}

fn code(result: io::Result<()>, failed: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) if error.kind() == io::ErrorKind::StorageFull => ffi::SQLITE_FULL,
        Err(_) => failed,
    }
}

impl Handle {
    fn open(name: Option<&Path>, flags: c_int) -> Result<Self, c_int> {
        static HOLDERS: AtomicU64 = AtomicU64::new(1);
        let path = name.map_or_else(PathBuf::new, Path::to_owned);
        let disk = match name {
            Some(path) => disk_of(path).ok_or(ffi::SQLITE_CANTOPEN)?,
            None => Simulated::default(),
        };
        let mut state = disk.state();
        let found = state.find(&path).filter(|_| name.is_some());
        let inode = match found {
            Some(inode) => inode,
            None if name.is_none() => state.create_nameless(),
            None if flags & ffi::SQLITE_OPEN_CREATE == 0 => return Err(ffi::SQLITE_CANTOPEN),
            None => state.create(&path).map_err(|_| ffi::SQLITE_CANTOPEN)?,
        };
        drop(state);
        let journal = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL;
        Ok(Self {
            disk,
            inode,
            path,
            holder: HOLDERS.fetch_add(1, Ordering::Relaxed),
            is_new_name: flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & journal != 0,
            delete_on_close: flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0,
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.sync(self.inode, &self.path)?;
        if self.is_new_name
            && let Some(dir) = self.path.parent()
        {
            state.sync_dir(dir)?;
            self.is_new_name = false;
        }
        Ok(())
    }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a C string or null, room for our `OpenFile`, and room for the flags or null.
    unsafe {
        (*file).pMethods = null();
        let path = (!name.is_null()).then(|| path_of(name));
        let handle = match Handle::open(path.as_deref(), flags) {
            Ok(handle) => handle,
            Err(code) => return code,
        };
        (*file.cast::<OpenFile>()).handle = Box::into_raw(Box::new(handle));
        (*file).pMethods = &METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_dir: c_int,
) -> c_int {
    // SAFETY: SQLite gives a C string.
    let path = unsafe { path_of(name) };
    let Some(disk) = disk_of(&path) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    let mut state = disk.state();
    match state.remove(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return ffi::SQLITE_IOERR_DELETE_NOENT;
        }
        Err(_) => return ffi::SQLITE_IOERR_DELETE,
        Ok(()) => {}
    }
    match path.parent().filter(|_| sync_dir != 0) {
        Some(dir) => code(state.sync_dir(dir), ffi::SQLITE_IOERR_DIR_FSYNC),
        None => ffi::SQLITE_OK,
    }
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _: c_int,
    found: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a C string and room for the answer.
    unsafe {
        let path = path_of(name);
        let is_there = disk_of(&path).is_some_and(|disk| {
            let state = disk.state();
            // An empty file counts as none, as with SQLite's own file system.
            let size = |inode| state.size(inode).unwrap_or(0);
            state.find(&path).is_some_and(|inode| size(inode) > 0)
        });
        *found = c_int::from(is_there);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    full: *mut c_char,
) -> c_int {
    // SAFETY: SQLite gives a C string and `room` octets; the copy ends inside both.
    unsafe {
        let octets = CStr::from_ptr(name).to_bytes_with_nul();
        if octets.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(octets.as_ptr().cast(), full, octets.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: opened by `open`; SQLite does not touch the file again.
    let handle = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    let mut state = handle.disk.state();
    unmap(&mut state, &handle);
    if let Some(locks) = state.locks.get_mut(&handle.inode) {
        locks.release(handle.holder);
    }
    if handle.delete_on_close && !handle.path.as_os_str().is_empty() {
        // Nobody else knows the file; if it stays, it stays.
        let _ = state.remove(&handle.path);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    octets: *mut c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open file, and a buffer of `count` octets that is ours during the call.
    let (handle, octets) = unsafe {
        std::ptr::write_bytes(octets.cast::<u8>(), 0, count as usize);
        (
            handle(file),
            std::slice::from_raw_parts_mut(octets.cast::<u8>(), count as usize),
        )
    };
    let mut state = handle.disk.state();
    match state.read(handle.inode, &handle.path, offset as u64, octets) {
        Ok(there) if there == octets.len() => ffi::SQLITE_OK,
        Ok(_) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    octets: *const c_void,
    count: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: an open file, and a buffer of `count` octets that nobody changes during the call.
    let (handle, octets) = unsafe {
        (
            handle(file),
            std::slice::from_raw_parts(octets.cast::<u8>(), count as usize),
        )
    };
    let mut state = handle.disk.state();
    match state.write(handle.inode, &handle.path, offset as u64, octets) {
        Ok(written) if written == octets.len() => ffi::SQLITE_OK,
        Ok(_) => ffi::SQLITE_FULL,
        Err(error) => code(Err(error), ffi::SQLITE_IOERR_WRITE),
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let mut state = handle.disk.state();
    code(
        state.resize(handle.inode, &handle.path, size as u64),
        ffi::SQLITE_IOERR_TRUNCATE,
    )
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    code(unsafe { handle(file) }.sync(), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: an open file, and room for the answer.
    unsafe {
        let handle = handle(file);
        match handle.disk.state().size(handle.inode) {
            Ok(found) => *size = found as i64,
            Err(_) => return ffi::SQLITE_IOERR_FSTAT,
        }
    }
    ffi::SQLITE_OK
}

fn had(had: bool) -> c_int {
    if had {
        ffi::SQLITE_OK
    } else {
        ffi::SQLITE_BUSY
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let mut state = handle.disk.state();
    had(state
        .locks
        .entry(handle.inode)
        .or_default()
        .lock(handle.holder, level))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let mut state = handle.disk.state();
    state
        .locks
        .entry(handle.inode)
        .or_default()
        .unlock(handle.holder, level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(
    file: *mut ffi::sqlite3_file,
    reserved: *mut c_int,
) -> c_int {
    // SAFETY: an open file, and room for the answer.
    unsafe {
        let handle = handle(file);
        let state = handle.disk.state();
        *reserved = c_int::from(
            state
                .locks
                .get(&handle.inode)
                .is_some_and(|locks| locks.is_reserved()),
        );
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_BYTES
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    // As SQLite's own file system assumes: a write that is cut off harms no octet beside it.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    at: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file, and room for the answer.
    let handle = unsafe { handle(file) };
    let mut state = handle.disk.state();
    let locks = state.locks.entry(handle.inode).or_default();
    if !locks.index_users.contains(&handle.holder) {
        locks.index_users.push(handle.holder);
    }
    let region = region as usize;
    while extend != 0 && locks.index.len() <= region {
        let words = vec![0_u64; (size as usize).div_ceil(size_of::<u64>())];
        // Given back in `unmap`.
        let piece = Box::into_raw(Box::new(words));
        // SAFETY: just made; the vector never moves or grows again.
        locks.index.push(unsafe { (*piece).as_mut_ptr() } as usize);
        locks.index_owners.push(piece as usize);
    }
    let found = locks
        .index
        .get(region)
        .map_or(null_mut(), |at| *at as *mut c_void);
    // SAFETY: room for the answer, as above.
    unsafe { *at = found };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    from: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let mut state = handle.disk.state();
    let locks = state.locks.entry(handle.inode).or_default();
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    let (from, count) = (from as usize, count as usize);
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        locks.unlock_slots(handle.holder, from, count, exclusive);
        return ffi::SQLITE_OK;
    }
    had(locks.lock_slots(handle.holder, from, count, exclusive))
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
    // SAFETY: an open file.
    drop(unsafe { handle(file) }.disk.state());
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    unmap(&mut handle.disk.state(), handle);
    ffi::SQLITE_OK
}

/// The index is gone when its last user is, as when a process ends: the next one recovers it from the log.
fn unmap(state: &mut State, handle: &Handle) {
    let Some(locks) = state.locks.get_mut(&handle.inode) else {
        return;
    };
    let before = locks.index_users.len();
    locks.index_users.retain(|user| *user != handle.holder);
    if before > 0 && locks.index_users.is_empty() {
        locks.index.clear();
        for owner in locks.index_owners.drain(..) {
            // SAFETY: made in `shm_map`, given back once, and nobody maps the index any more.
            drop(unsafe { Box::from_raw(owner as *mut Vec<u64>) });
        }
    }
}
