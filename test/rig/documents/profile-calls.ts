import { expect } from 'vitest'

type Call = (command: string) => Promise<unknown>

/** Returns the functions that run the calls about device profiles that the documents show, in their order. */
export function profileCalls(call: Call) {
  let profileId = 'not created'
  let deviceId = 'not created'

  async function testConversion(command: string): Promise<void> {
    const data = { temperature: 22.6, port: 2 }
    expect(await call(command)).toEqual({ readings: [{ time: expect.any(String), data }] })
  }

  async function createProfile(command: string): Promise<void> {
    const answer = await call(command)
    expect(answer).toMatchObject({ deviceProfile: { profileId: expect.any(String), samples: [{ fPort: 2 }, {}] } })
    profileId = (answer as { deviceProfile: { profileId: string } }).deviceProfile.profileId
  }

  async function updateProfile(command: string): Promise<void> {
    const deviceProfile = { profileId, codec: { kind: 'CODEC_KIND_JAVASCRIPT' } }
    expect(await call(command)).toMatchObject({ deviceProfile })
  }

  async function createDevice(command: string): Promise<void> {
    const answer = await call(command)
    expect(answer).toMatchObject({ endDevice: { deviceId: expect.any(String), profileId } })
    deviceId = (answer as { endDevice: { deviceId: string } }).endDevice.deviceId
  }

  /** Changes the created device: other commands need the expression of the first one. */
  async function setProfile(command: string): Promise<void> {
    expect(await call(command.replace('DEVICE', deviceId))).toMatchObject({ endDevice: { deviceId, profileId } })
  }

  const commands: readonly (readonly [command: RegExp, run: (command: string) => Promise<void>])[] = [
    [/^grpcurl .*DeviceProfileService\/TestPayloadConversion$/, testConversion],
    [/^grpcurl .*DeviceProfileService\/CreateDeviceProfile$/, createProfile],
    [/^grpcurl .*DeviceProfileService\/UpdateDeviceProfile$/, updateProfile],
    [/^grpcurl .*"profile_id".*EndDeviceService\/CreateEndDevice$/, createDevice],
    [/^grpcurl .*"profile_id".*EndDeviceService\/UpdateEndDevice$/, setProfile],
  ]
  return {
    commands,
    get profileId() {
      return profileId
    },
  }
}
