// What Swift cannot import from hdf5.h: macros that expand to calls or casts.
#include <hdf5.h>

static inline unsigned unroll_H5F_ACC_RDONLY(void) { return H5F_ACC_RDONLY; }
static inline unsigned unroll_H5F_ACC_TRUNC(void) { return H5F_ACC_TRUNC; }
static inline hid_t unroll_H5P_FILE_CREATE(void) { return H5P_FILE_CREATE; }
static inline hid_t unroll_H5P_FILE_ACCESS(void) { return H5P_FILE_ACCESS; }
static inline hid_t unroll_H5P_GROUP_CREATE(void) { return H5P_GROUP_CREATE; }
static inline hid_t unroll_H5P_DATASET_CREATE(void) { return H5P_DATASET_CREATE; }
static inline hid_t unroll_H5T_C_S1(void) { return H5T_C_S1; }
static inline hid_t unroll_H5T_STD_I8LE(void) { return H5T_STD_I8LE; }
static inline hid_t unroll_H5T_STD_I16LE(void) { return H5T_STD_I16LE; }
static inline hid_t unroll_H5T_STD_I32LE(void) { return H5T_STD_I32LE; }
static inline hid_t unroll_H5T_STD_I64LE(void) { return H5T_STD_I64LE; }
static inline hid_t unroll_H5T_STD_U8LE(void) { return H5T_STD_U8LE; }
static inline hid_t unroll_H5T_STD_U16LE(void) { return H5T_STD_U16LE; }
static inline hid_t unroll_H5T_STD_U32LE(void) { return H5T_STD_U32LE; }
static inline hid_t unroll_H5T_STD_U64LE(void) { return H5T_STD_U64LE; }
static inline hid_t unroll_H5T_IEEE_F32LE(void) { return H5T_IEEE_F32LE; }
static inline hid_t unroll_H5T_IEEE_F64LE(void) { return H5T_IEEE_F64LE; }
static inline int64_t unroll_HADDR_UNDEF(void) { return -1; }
