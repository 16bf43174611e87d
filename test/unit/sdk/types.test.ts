import { expectTypeOf, test } from 'vitest'
import type { ApprovalView as SdkView } from '../../../clients/sdk/index.ts'
import type { ApprovalView as ServerView } from '../../../lib/core/view.ts'

test("the SDK's record and the server's are the same type (checked by npm run typecheck)", () => {
  expectTypeOf<Omit<ServerView, 'history'>>().toExtend<Omit<SdkView, 'history'>>()
  expectTypeOf<SdkView>().toExtend<ServerView>()
})
