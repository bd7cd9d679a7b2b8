/* mock_usbfs.c - usbfs by umockdev.
 * SPDX-License-Identifier: Apache-2.0 */
#include "mock_usbfs.h"

#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>

#define WAIT_NS \
    1000000 /* libusb believes that the file is always ready: without a wait it would spin */

struct mock_usbfs {
    UMockdevTestbed *bed;
    UMockdevIoctlBase *base;
    char *node, *sysfs;
    struct mock_device device;
    pthread_mutex_t mutex; /* not GLib's, which ThreadSanitizer cannot see */
    pthread_cond_t ended;
    gint wanted;
    GQueue pending, done;         /* of struct mock_urb */
    UMockdevIoctlClient *claimed; /* by whom; NULL: by no one */
    bool removed;
};

/* umockdev may still be about to call for a device that was removed: none is freed. */
static GSList *all;

static void free_urb(struct mock_urb *u)
{
    umockdev_ioctl_data_unref(u->data);
    umockdev_ioctl_data_unref(u->urb);
    g_free(u);
}

void mock_lock(struct mock_usbfs *m)
{
    pthread_mutex_lock(&m->mutex);
}

void mock_unlock(struct mock_usbfs *m)
{
    pthread_mutex_unlock(&m->mutex);
}

bool mock_wanted(struct mock_usbfs *m)
{
    return g_atomic_int_get(&m->wanted) > 0;
}

void mock_end(struct mock_usbfs *m, struct mock_urb *u, int status, size_t count)
{
    struct usbdevfs_urb *raw = (struct usbdevfs_urb *)(void *)u->urb->data;
    raw->status = status;
    raw->actual_length = (int)count;
    g_queue_remove(&m->pending, u);
    g_queue_push_tail(&m->done, u);
    pthread_cond_broadcast(&m->ended);
}

static bool is_gone(const struct mock_usbfs *m)
{
    return m->removed || m->device.gone(m->device.user);
}

static int submit(struct mock_usbfs *m, UMockdevIoctlClient *client, UMockdevIoctlData *arg)
{
    struct mock_urb *u = g_new0(struct mock_urb, 1);
    u->urb = umockdev_ioctl_data_resolve(arg, 0, sizeof(struct usbdevfs_urb), NULL);
    const struct usbdevfs_urb *raw = (struct usbdevfs_urb *)(void *)u->urb->data;
    u->data = umockdev_ioctl_data_resolve(u->urb, G_STRUCT_OFFSET(struct usbdevfs_urb, buffer),
                                          (gsize)raw->buffer_length, NULL);
    u->control = raw->type == USBDEVFS_URB_TYPE_CONTROL;
    u->endpoint = raw->endpoint;
    u->bytes = u->data->data;
    u->length = (size_t)raw->buffer_length;
    u->client = client;
    g_queue_push_tail(&m->pending, u);
    const int error = m->device.submit(m->device.user, u);
    if (error) {
        g_queue_remove(&m->pending, u);
        free_urb(u);
    }
    return error;
}

static int discard(struct mock_usbfs *m, UMockdevIoctlClient *client, const UMockdevIoctlData *arg)
{
    const gulong address = *(const gulong *)(const void *)arg->data;
    for (GList *l = m->pending.head; l; l = l->next) {
        struct mock_urb *u = l->data;
        if (u->client == client && u->urb->client_addr == address) {
            m->device.cancel(m->device.user, u);
            mock_end(m, u, -ENOENT, 0);
            return 0;
        }
    }
    return EINVAL;
}

/* The first of a client's own: another's address means nothing to it. */
static struct mock_urb *first_of(GQueue *urbs, const UMockdevIoctlClient *client)
{
    for (GList *l = urbs->head; l; l = l->next) {
        struct mock_urb *u = l->data;
        if (u->client == client)
            return u;
    }
    return NULL;
}

static int reap(struct mock_usbfs *m, UMockdevIoctlClient *client, UMockdevIoctlData *arg)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += WAIT_NS;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    struct mock_urb *u;
    while ((u = first_of(&m->done, client)) == NULL && !is_gone(m))
        if (pthread_cond_timedwait(&m->ended, &m->mutex, &end))
            break;
    if (!u)
        return is_gone(m) && !first_of(&m->pending, client) ? ENODEV : EAGAIN;
    g_queue_remove(&m->done, u);
    UMockdevIoctlData *slot = umockdev_ioctl_data_resolve(arg, 0, sizeof(gpointer), NULL);
    umockdev_ioctl_data_set_ptr(slot, 0, u->urb);
    umockdev_ioctl_data_unref(slot);
    free_urb(u);
    return 0;
}

static int claim(struct mock_usbfs *m, UMockdevIoctlClient *client)
{
    const int error = m->device.claim ? m->device.claim(m->device.user) : 0;
    if (error || (m->claimed && m->claimed != client))
        return error ? error : EBUSY;
    m->claimed = client;
    return 0;
}

static int answer(struct mock_usbfs *m, UMockdevIoctlClient *client, gulong request,
                  UMockdevIoctlData *arg)
{
    const struct mock_device *d = &m->device;
    if (is_gone(m) && request != USBDEVFS_REAPURBNDELAY && request != USBDEVFS_DISCARDURB)
        return ENODEV;
    switch (request) {
    case USBDEVFS_GET_CAPABILITIES: {
        UMockdevIoctlData *v = umockdev_ioctl_data_resolve(arg, 0, sizeof(guint32), NULL);
        *(guint32 *)(void *)v->data = USBDEVFS_CAP_BULK_CONTINUATION |
                                      USBDEVFS_CAP_NO_PACKET_SIZE_LIM |
                                      USBDEVFS_CAP_REAP_AFTER_DISCONNECT;
        umockdev_ioctl_data_unref(v);
        return 0;
    }
    case USBDEVFS_GETDRIVER:
    case USBDEVFS_IOCTL: return ENODATA; /* no driver of the kernel's to detach */
    case USBDEVFS_CLAIMINTERFACE: return claim(m, client);
    case USBDEVFS_RELEASEINTERFACE:
        if (m->claimed == client)
            m->claimed = NULL;
        return 0;
    case USBDEVFS_CLEAR_HALT: {
        UMockdevIoctlData *v = umockdev_ioctl_data_resolve(arg, 0, sizeof(unsigned), NULL);
        const unsigned endpoint = *(const unsigned *)(const void *)v->data;
        umockdev_ioctl_data_unref(v);
        return d->clear_halt(d->user, (uint8_t)endpoint);
    }
    case USBDEVFS_RESET: return d->reset(d->user);
    case USBDEVFS_SETCONFIGURATION:
    case USBDEVFS_SETINTERFACE: return 0;
    case USBDEVFS_SUBMITURB: return submit(m, client, arg);
    case USBDEVFS_REAPURB:
    case USBDEVFS_REAPURBNDELAY: return reap(m, client, arg);
    case USBDEVFS_DISCARDURB: return discard(m, client, arg);
    default: return ENOTTY;
    }
}

static gboolean on_ioctl(UMockdevIoctlBase *base, UMockdevIoctlClient *client, gpointer user)
{
    struct mock_usbfs *m = user;
    (void)base;
    UMockdevIoctlData *arg = umockdev_ioctl_client_get_arg(client);
    g_atomic_int_inc(&m->wanted);
    pthread_mutex_lock(&m->mutex);
    g_atomic_int_add(&m->wanted, -1);
    const int error = answer(m, client, umockdev_ioctl_client_get_request(client), arg);
    pthread_mutex_unlock(&m->mutex);
    umockdev_ioctl_client_complete(client, error ? -1 : 0, error);
    return TRUE;
}

/* A program has ended, whatever it had submitted. */
static void on_vanished(UMockdevIoctlBase *base, UMockdevIoctlClient *client, gpointer user)
{
    struct mock_usbfs *m = user;
    (void)base;
    pthread_mutex_lock(&m->mutex);
    for (GList *l = m->pending.head, *next; l; l = next) {
        struct mock_urb *u = l->data;
        next = l->next;
        if (u->client == client) {
            m->device.cancel(m->device.user, u);
            g_queue_delete_link(&m->pending, l);
            free_urb(u);
        }
    }
    for (GList *l = m->done.head, *next; l; l = next) {
        struct mock_urb *u = l->data;
        next = l->next;
        if (u->client == client) {
            g_queue_delete_link(&m->done, l);
            free_urb(u);
        }
    }
    if (m->claimed == client)
        m->claimed = NULL;
    pthread_mutex_unlock(&m->mutex);
}

struct mock_usbfs *mock_plug_in(UMockdevTestbed *bed, const char *node, const char *sysfs,
                                const char *description, const struct mock_device *device)
{
    GError *error = NULL;
    struct mock_usbfs *m = g_new0(struct mock_usbfs, 1);
    all = g_slist_prepend(all, m);
    m->bed = bed;
    m->device = *device;
    m->node = g_strdup(node);
    m->sysfs = g_strdup(sysfs);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->ended, &clock);
    pthread_condattr_destroy(&clock);
    m->base = umockdev_ioctl_base_new();
    g_signal_connect(m->base, "handle-ioctl", G_CALLBACK(on_ioctl), m);
    g_signal_connect(m->base, "client-vanished", G_CALLBACK(on_vanished), m);
    if (!umockdev_testbed_attach_ioctl(bed, node, m->base, &error) || /* before the uevent */
        !umockdev_testbed_add_from_string(bed, description, &error)) {
        fprintf(stderr, "umockdev: %s\n", error->message);
        g_error_free(error);
        return NULL;
    }
    return m;
}

void mock_remove(struct mock_usbfs *m)
{
    struct mock_urb *u;
    pthread_mutex_lock(&m->mutex);
    m->removed = true;
    while ((u = g_queue_peek_head(&m->pending)) != NULL) {
        m->device.cancel(m->device.user, u);
        mock_end(m, u, -ESHUTDOWN, 0);
    }
    pthread_mutex_unlock(&m->mutex);
    umockdev_testbed_detach_ioctl(m->bed, m->node, NULL);
    umockdev_testbed_remove_device(m->bed, m->sysfs);
    g_object_unref(m->base);
}
