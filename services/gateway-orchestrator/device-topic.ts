/** A topic's device, or why a message on it cannot be an envelope (W-7). */
export type DeviceTopic =
  | { readonly ok: true; readonly endDeviceId: string }
  | { readonly ok: false; readonly reason: string }

/** `{organization_id}/{end_device_id}`: exactly two segments, neither empty, the first the gateway's own organization. */
export function deviceOfTopic(topic: string, organizationId: string): DeviceTopic {
  const [organization, endDeviceId, ...rest] = topic.split('/')
  if (!organization || !endDeviceId || rest.length > 0) {
    return { ok: false, reason: `topic "${topic}" is not {organization_id}/{end_device_id}` }
  }
  if (organization !== organizationId) {
    return { ok: false, reason: `topic "${topic}" is not of the gateway's organization ${organizationId}` }
  }
  return { ok: true, endDeviceId }
}
