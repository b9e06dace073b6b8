// libhdf5 for Swift: the header, and what Swift cannot import from it.
//
// Macros that expand to calls or casts become functions. Functions whose meaning depends on the
// library's version are pinned to the 1.10 interface, which 1.12 and 1.14 still have.
#pragma once
#define H5_USE_110_API
#include <errno.h>
#include <hdf5.h>
#if defined(__linux__)
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/// Reserves disk space for a file without changing its size: 0, or an error number.
///
/// libhdf5 dies of a disk that is full; this meets the full disk first. Where a system or file
/// system cannot reserve, it does nothing.
static inline int unroll_reserve(const char *path, int64_t byte_count) {
#if defined(__linux__) && defined(SYS_fallocate)
  const int keep_size = 1;  // FALLOC_FL_KEEP_SIZE
  int descriptor = open(path, O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  long status = syscall(SYS_fallocate, descriptor, keep_size, (off_t)0, (off_t)byte_count);
  int code = status == 0 || errno == EOPNOTSUPP || errno == ENOSYS ? 0 : errno;
  close(descriptor);
  return code;
#else
  (void)path;
  (void)byte_count;
  return 0;
#endif
}

/// Keeps libhdf5 from locking the files that it opens. `HDF5_USE_FILE_LOCKING` is stronger.
static inline herr_t unroll_switch_locks_off(hid_t access) {
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
  return H5Pset_file_locking(access, 0, 1);
#else
  (void)access;
  return 0;
#endif
}

static inline unsigned unroll_H5F_ACC_RDONLY(void) { return H5F_ACC_RDONLY; }
static inline unsigned unroll_H5F_ACC_TRUNC(void) { return H5F_ACC_TRUNC; }
static inline hid_t unroll_H5P_FILE_CREATE(void) { return H5P_FILE_CREATE; }
static inline hid_t unroll_H5P_FILE_ACCESS(void) { return H5P_FILE_ACCESS; }
static inline hid_t unroll_H5P_GROUP_CREATE(void) { return H5P_GROUP_CREATE; }
static inline hid_t unroll_H5P_DATASET_CREATE(void) { return H5P_DATASET_CREATE; }
static inline hid_t unroll_H5P_LINK_CREATE(void) { return H5P_LINK_CREATE; }
static inline hid_t unroll_H5T_C_S1(void) { return H5T_C_S1; }

/// The number of open identifiers of files and their parts.
static inline int64_t unroll_open_count(void) {
  return H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL);
}

/// The file types of the format, in the order of `DType.standard`.
static inline hid_t unroll_H5T_standard(int index) {
  switch (index) {
    case 0: return H5T_IEEE_F32LE;
    case 1: return H5T_IEEE_F64LE;
    case 2: return H5T_STD_I8LE;
    case 3: return H5T_STD_I16LE;
    case 4: return H5T_STD_I32LE;
    case 5: return H5T_STD_I64LE;
    case 6: return H5T_STD_U8LE;
    case 7: return H5T_STD_U16LE;
    case 8: return H5T_STD_U32LE;
    case 9: return H5T_STD_U64LE;
    default: return H5I_INVALID_HID;
  }
}

/// Bytes in memory that libhdf5 takes for a file.
typedef struct {
  const void *bytes;
  size_t size;
} unroll_image;

static inline void *unroll_image_malloc(size_t size, H5FD_file_image_op_t op, void *image) {
  (void)op;
  const unroll_image *i = (const unroll_image *)image;
  return size == i->size ? (void *)i->bytes : NULL;
}
static inline void *unroll_image_memcpy(
    void *to, const void *from, size_t size, H5FD_file_image_op_t op, void *image) {
  (void)from, (void)size, (void)op, (void)image;
  return to;
}
static inline void *unroll_image_realloc(
    void *bytes, size_t size, H5FD_file_image_op_t op, void *image) {
  (void)bytes, (void)size, (void)op, (void)image;
  return NULL;
}
static inline herr_t unroll_image_free(void *bytes, H5FD_file_image_op_t op, void *image) {
  (void)bytes, (void)op, (void)image;
  return 0;
}
static inline void *unroll_image_share(void *image) { return image; }
static inline herr_t unroll_image_leave(void *image) {
  (void)image;
  return 0;
}

/// Has a file be read from memory, without a copy; the image must live as long as the properties and the
/// file.
static inline herr_t unroll_read_image(hid_t access, unroll_image *image) {
  H5FD_file_image_callbacks_t calls = {
      unroll_image_malloc, unroll_image_memcpy, unroll_image_realloc, unroll_image_free,
      unroll_image_share,  unroll_image_leave,  image};
  if (H5Pset_fapl_core(access, 1 << 16, 0) < 0) return -1;
  if (H5Pset_file_image_callbacks(access, &calls) < 0) return -1;
  return H5Pset_file_image(access, (void *)image->bytes, image->size);
}

typedef struct {
  int (*each)(const char *name, int link_type, uint64_t address, void *context);
  void *context;
} unroll_link_visitor;

static inline herr_t unroll_visit_link(
    hid_t group, const char *name, const H5L_info_t *info, void *visitor) {
  (void)group;
  unroll_link_visitor *v = (unroll_link_visitor *)visitor;
  uint64_t address = info->type == H5L_TYPE_HARD ? (uint64_t)info->u.address : UINT64_MAX;
  return v->each(name, (int)info->type, address, v->context);
}

/// Calls `each` with the links of a group until it returns 1; a hard link has an address.
///
/// In the order in which they are stored: for any other, libhdf5 first makes a table of all of them.
static inline herr_t unroll_H5Literate(
    hid_t group, int (*each)(const char *name, int link_type, uint64_t address, void *context),
    void *context) {
  unroll_link_visitor visitor = {each, context};
  return H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, unroll_visit_link, &visitor);
}

/// The kind of an object (`H5O_type_t`), its address in the file and the number of its hard links.
static inline herr_t unroll_H5Oget_info(
    hid_t object, int *type, uint64_t *address, unsigned *links) {
  H5O_info_t info;
  herr_t status = H5Oget_info2(object, &info, H5O_INFO_BASIC);
  if (status >= 0) {
    *type = (int)info.type;
    *address = (uint64_t)info.addr;
    *links = info.rc;
  }
  return status;
}
